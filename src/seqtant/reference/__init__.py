"""The model that ships: its synthetic world with exact probabilities, its recipe, its weights."""

from __future__ import annotations

from seqtant.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
