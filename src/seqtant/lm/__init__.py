"""Causal language models: loading, hooks, exact scoring, generation, oracles with exact probabilities.

Importing this package loads no torch; the public names below are imported when first used.
"""

from __future__ import annotations

from seqtant.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
