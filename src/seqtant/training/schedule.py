"""The learning rate as a plain function of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math

from seqtant.training.config import TrainingConfig


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Learning rate of one optimizer step.

    The warm-up rises linearly and reaches the peak at its last step; the last step of the run has exactly
    ``final_fraction`` of the peak.

    Args:
        config: The run's settings.
        step: Steps already taken, from 0 to ``config.steps - 1``.

    Example:
        >>> config = TrainingConfig(steps=5, learning_rate=1.0, warmup=2, schedule="linear", final_fraction=0.1)
        >>> [round(learning_rate(config, step), 2) for step in range(5)]
        [0.5, 1.0, 0.7, 0.4, 0.1]
    """
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    first = max(config.warmup - 1, 0)
    done = (step - first) / max(config.steps - 1 - first, 1)
    return config.learning_rate * _remaining(config, done)


def _remaining(config: TrainingConfig, done: float) -> float:
    if config.schedule == "constant":
        return 1.0
    falling = 1 - done if config.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return config.final_fraction + (1 - config.final_fraction) * falling
