"""The arms of a comparison: what is written after the input, namely all steps, no steps, or a control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int

from seqtant.errors import InputError
from seqtant.subtasks.config import ArmName, ArmSettings
from seqtant.subtasks.tasks.splits import draw_inputs
from seqtant.subtasks.tasks.task import Task
from seqtant.training.losses import IGNORED


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to write a solution: after the input come pauses, then the values of some steps, the answer last."""

    name: ArmName
    written: tuple[int, ...]
    """Indices of the written steps, in the order of writing."""
    answer: tuple[int, ...]
    """Positions among the written steps that form the answer."""
    pauses: int = 0
    """Number of pause tokens between the input and the first written step."""
    noise: float = 0.0
    """Share of the written steps before the answer that are wrong, in training only."""

    def vocabulary(self, task: Task) -> int:
        """Number of tokens a network needs: the alphabet, and the pause token where there is one."""
        return task.alphabet + (self.pauses > 0)

    def prompt(self, task: Task, inputs: Int[np.ndarray, "rows d"]) -> Int[np.ndarray, "rows prompt"]:
        """Appends the pauses to the input."""
        return np.pad(inputs, ((0, 0), (0, self.pauses)), constant_values=task.alphabet)

    def target(
        self, task: Task, inputs: Int[np.ndarray, "rows d"], generator: np.random.Generator | None = None
    ) -> Int[np.ndarray, "rows written"]:
        """Computes the tokens to be written; with a generator, some are wrong as ``noise`` says."""
        # All steps are computed, then those written are picked, in their order.
        values = task.labels(inputs)[:, list(self.written)]
        if generator is not None and self.noise:
            wrong = generator.random(values.shape) < self.noise
            wrong[:, list(self.answer)] = False
            # A shift by 1 to V - 1 modulo V is uniform over the wrong values.
            shifted = (values + generator.integers(1, task.alphabet, values.shape)) % task.alphabet
            values = np.where(wrong, shifted, values)
        return values


def arm_of(name: ArmName, task: Task, settings: ArmSettings | None = None, seed: int = 0) -> Arm:
    """Builds an arm for a task.

    Args:
        name: Name of the arm.
        task: The task.
        settings: Noise and level of the controls; by default those of :class:`ArmSettings`.
        seed: Seed of the order of ``shuffled``.

    Raises:
        InputError: The arm ``partial`` would drop no step.

    Example:
        >>> from seqtant.subtasks.tasks.builtin import parity
        >>> arm_of("pause", parity(8)).pauses
        2
    """
    settings = settings or ArmSettings()
    every = tuple(range(task.length))
    last = every[-1]
    if name in ("answer", "pause"):
        # As many pauses as steps left out, so that rows of both arms cost the same compute.
        pauses = task.length - len(task.answer) if name == "pause" else 0
        return Arm(name=name, written=task.answer, answer=tuple(range(len(task.answer))), pauses=pauses)
    written = every
    # The last step, the answer, keeps its place.
    if name == "shuffled":
        written = (*np.random.default_rng([seed, 5]).permutation(last).tolist(), last)
    if name == "partial":
        written = tuple(s for s in every if task.levels[s] >= settings.level or s in task.answer)
        if len(written) == task.length:
            raise InputError(
                f"the arm 'partial' drops no step of '{task.name}' at level {settings.level}: raise the level"
            )
    positions = tuple(written.index(step) for step in task.answer)
    return Arm(name=name, written=written, answer=positions, noise=settings.noise if name == "noisy" else 0.0)


def sequences(
    task: Task, arm: Arm, inputs: Int[np.ndarray, "rows d"], generator: np.random.Generator | None = None
) -> tuple[Int[np.ndarray, "rows length"], Int[np.ndarray, "rows length"]]:
    """Builds token rows and their labels, -100 on the prompt, whose last token predicts the first label."""
    prompt = arm.prompt(task, inputs)
    target = arm.target(task, inputs, generator)
    # Both [rows, prompt + written].
    tokens = np.concatenate([prompt, target], axis=1)
    labels = np.concatenate([np.full_like(prompt, IGNORED), target], axis=1)
    return tokens, labels


@dataclass(frozen=True)
class TaskBatches:
    """Training batches for :func:`seqtant.training.train`, sampled anew at every step from the training split.

    Example:
        >>> from seqtant.subtasks.tasks.builtin import parity
        >>> task = parity(8)
        >>> TaskBatches(task, arm_of("steps", task, ArmSettings(), 0), rows=4, seed=0).batch(0)["input_ids"].shape
        torch.Size([4, 11])
    """

    task: Task
    arm: Arm
    rows: int
    seed: int
    """Seed of the inputs."""

    @property
    def fingerprint(self) -> str:
        """Identifies the batches, so that a run resumes only on the same ones."""
        return f"{self.task.fingerprint} {self.arm} {self.rows} {self.seed}"

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """Samples ``input_ids`` and ``labels`` of one update, [rows, prompt + written]."""
        # The step seeds the generator: any batch can be asked for, in any order, without the ones before it.
        generator = np.random.default_rng([self.seed, 1, step])
        inputs = draw_inputs(self.task, "train", self.rows, generator)
        tokens, labels = sequences(self.task, self.arm, inputs, generator)
        return {"input_ids": torch.from_numpy(tokens), "labels": torch.from_numpy(labels)}
