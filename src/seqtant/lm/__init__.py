"""Causal language models: loading, hooks, exact scoring, generation, oracles with exact probabilities.

Importing this package loads no torch; the public names below are imported when first used.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
