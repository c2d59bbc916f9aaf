"""How a training run goes: everything that decides its course, in one documented record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seqtant.errors import InputError

EXECUTION_ONLY = frozenset({"accumulation", "compile", "checkpoint_every", "keep"})
"""Fields that say how a run is carried out, not what it computes: a resumed run may change them."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of one training run.

    Example:
        >>> TrainingConfig(steps=100, warmup=10).schedule
        'cosine'
    """

    steps: int
    """Number of optimizer steps."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or plain stochastic gradient descent without momentum, as theorems about training assume."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Course of the learning rate after the warm-up."""
    warmup: int = 0
    """Steps over which the learning rate rises linearly from near zero to its peak."""
    final_fraction: float = 0.1
    """Learning rate of the last step as a fraction of the peak (cosine and linear)."""
    weight_decay: float = 0.1
    """Weight decay (decoupled in AdamW); matrices only, never norms and biases."""
    decay_embeddings: bool = False
    """Whether embedding tables are decayed too."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay rates of AdamW's two moment averages."""
    epsilon: float = 1e-8
    """Added to AdamW's denominator."""
    clip: float | None = 1.0
    """Largest norm of the whole gradient; None clips nothing."""
    accumulation: int = 1
    """Forward passes per process and step. It saves memory and changes nothing else."""
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision of the forward pass: ``no`` computes in the weights' own type."""
    compile: bool = False
    """Whether the model is compiled; pays off on long runs only."""
    evaluate_every: int | None = None
    """Steps between evaluations; None evaluates once, at the end."""
    checkpoint_every: int | None = None
    """Steps between checkpoints; None writes one, at the end. Either way only if the run has a folder."""
    keep: int = 2
    """How many of the newest checkpoints stay."""

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("steps", "accumulation", "keep")}
        periods = {name: getattr(self, name) for name in ("evaluate_every", "checkpoint_every")}
        rules = {name: (count >= 1, "at least 1") for name, count in counts.items()}
        rules |= {name: (every is None or every >= 1, "at least 1") for name, every in periods.items()}
        rules |= {
            "learning_rate": (self.learning_rate > 0, "positive"),
            "warmup": (0 <= self.warmup <= self.steps, f"between 0 and steps ({self.steps})"),
            "final_fraction": (0 <= self.final_fraction <= 1, "between 0 and 1"),
            "weight_decay": (self.weight_decay >= 0, "0 or positive"),
            "betas": (all(0 <= beta < 1 for beta in self.betas), "between 0 and 1"),
            "epsilon": (self.epsilon > 0, "positive"),
            "clip": (self.clip is None or self.clip > 0, "positive, or null to clip nothing"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise InputError(f"TrainingConfig.{name} is {getattr(self, name)}: it must be {rule}")
