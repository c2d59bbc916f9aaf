"""One training loop over Accelerate: schedules, checkpoints, exact resumption, progress."""

from __future__ import annotations

from typing import Any

_PUBLIC = {
    "Batches": "seqtant.training.batches:Batches",
    "LossSum": "seqtant.training.losses:LossSum",
    "Periodic": "seqtant.training.loop:Periodic",
    "TrainingConfig": "seqtant.training.config:TrainingConfig",
    "TrainingHistory": "seqtant.training.history:TrainingHistory",
    "mean_loss": "seqtant.training.evaluation:mean_loss",
    "next_token_loss": "seqtant.training.losses:next_token_loss",
    "train": "seqtant.training.loop:train",
}

__all__ = list(_PUBLIC)  # pyright: ignore[reportUnsupportedDunderAll]  (lazy: importing this loads no torch)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        from seqtant.registry import import_attribute

        return import_attribute(_PUBLIC[name])
    raise AttributeError(f"module 'seqtant.training' has no attribute '{name}'")
