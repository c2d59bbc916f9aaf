"""One training loop over Accelerate: schedules, checkpoints, exact resumption, progress."""

from __future__ import annotations

from seqtant.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
