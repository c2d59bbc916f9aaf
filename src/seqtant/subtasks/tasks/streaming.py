"""Training batches drawn anew at every step: no row is stored, and none belongs to another split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from seqtant.subtasks.tasks.arms import Arm, sequences
from seqtant.subtasks.tasks.splits import draw_inputs
from seqtant.subtasks.tasks.task import Task


@dataclass(frozen=True)
class TaskBatches:
    """A source of batches for :func:`seqtant.training.train`.

    Example:
        >>> from seqtant.subtasks.tasks.arms import arm_of
        >>> from seqtant.subtasks.config import ArmSettings
        >>> from seqtant.subtasks.tasks.parity import parity
        >>> task = parity(8)
        >>> TaskBatches(task, arm_of("steps", task, ArmSettings(), 0), rows=4, seed=0).batch(0)["input_ids"].shape
        torch.Size([4, 11])
    """

    task: Task
    arm: Arm
    rows: int
    """Rows of a batch."""
    seed: int
    """Seed of the inputs."""

    @property
    def fingerprint(self) -> str:
        """Tells two sources apart."""
        return f"{self.task.fingerprint} {self.arm} {self.rows} {self.seed}"

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """``input_ids`` and ``labels`` of one update, [rows, prompt + written]."""
        generator = np.random.default_rng([self.seed, 1, step])
        inputs = draw_inputs(self.task, "train", self.rows, generator)
        tokens, labels = sequences(self.task, self.arm, inputs, generator)
        return {"input_ids": torch.from_numpy(tokens), "labels": torch.from_numpy(labels)}
