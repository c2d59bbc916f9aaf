"""How hard may I steer before the model gets useless? (trade-offs between alignment and helpfulness).

Importing this package loads neither NumPy nor torch; the public names below are imported when first used.
"""

from __future__ import annotations

from seqtant.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
