"""Seqtant: nine research results on sequence models as instruments for your own models.

Importing this package loads neither torch nor transformers; the public names below are imported when first used.
"""

from __future__ import annotations

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, _names = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["__version__", *_names]  # noqa: PLE0604  (the names are lazy, see __init__.pyi)
