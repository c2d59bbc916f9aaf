"""Can my CTC model have the property I care about: earlier emission, fewer word errors? (Align With Purpose).

Importing this package loads neither NumPy nor torch; the public names below are imported when first used.
"""

from __future__ import annotations

from seqtant.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
