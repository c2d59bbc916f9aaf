"""What is written after the input: all steps, no steps, or one of the controls that tell why steps help."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from seqtant.errors import InputError
from seqtant.subtasks.config import ArmName, ArmSettings
from seqtant.subtasks.tasks.task import Task
from seqtant.training.losses import IGNORED


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to write a solution: after the input come pauses, then the values of some steps, the answer last."""

    name: ArmName
    """What reports call it."""
    written: tuple[int, ...]
    """Steps in the order in which they are written."""
    answer: tuple[int, ...]
    """Places among the written steps that make the answer."""
    pauses: int = 0
    """Pause tokens between the input and the first written step."""
    noise: float = 0.0
    """Share of the written steps before the answer that are wrong, in training only."""

    def vocabulary(self, task: Task) -> int:
        """Number of tokens a network needs: the alphabet, and the pause where there is one."""
        return task.alphabet + (self.pauses > 0)

    def prompt(self, task: Task, inputs: Int[np.ndarray, "rows d"]) -> Int[np.ndarray, "rows prompt"]:
        """What a network is given: the input and the pauses."""
        return np.pad(inputs, ((0, 0), (0, self.pauses)), constant_values=task.alphabet)

    def target(
        self, task: Task, inputs: Int[np.ndarray, "rows d"], generator: np.random.Generator | None = None
    ) -> Int[np.ndarray, "rows written"]:
        """What a network should write; with a generator, as noisy as the arm says."""
        values = task.labels(inputs)[:, list(self.written)]
        if generator is not None and self.noise:
            wrong = generator.random(values.shape) < self.noise
            wrong[:, list(self.answer)] = False
            values = np.where(
                wrong, (values + generator.integers(1, task.alphabet, values.shape)) % task.alphabet, values
            )
        return values


def arm_of(name: ArmName, task: Task, settings: ArmSettings, seed: int) -> Arm:
    """The arm of a task.

    Args:
        name: Which.
        task: The task.
        settings: Noise and level of the controls.
        seed: Seed of the wrong order.

    Raises:
        InputError: The task has no step that the arm would keep.

    Example:
        >>> from seqtant.subtasks.tasks.parity import parity
        >>> arm_of("pause", parity(8), ArmSettings(), 0).pauses
        2
    """
    every = tuple(range(task.length))
    last = every[-1]
    if name in ("answer", "pause"):
        pauses = task.length - len(task.answer) if name == "pause" else 0
        return Arm(name=name, written=task.answer, answer=tuple(range(len(task.answer))), pauses=pauses)
    written = every
    if name == "shuffled":
        written = (*np.random.default_rng([seed, 5]).permutation(last).tolist(), last)
    if name == "partial":
        written = tuple(s for s in every if task.levels[s] >= settings.level or s in task.answer)
        if len(written) == task.length:
            raise InputError(
                f"the arm 'partial' drops no step of '{task.name}' at level {settings.level}: raise the level"
            )
    places = tuple(written.index(step) for step in task.answer)
    return Arm(name=name, written=written, answer=places, noise=settings.noise if name == "noisy" else 0.0)


def sequences(
    task: Task, arm: Arm, inputs: Int[np.ndarray, "rows d"], generator: np.random.Generator | None = None
) -> tuple[Int[np.ndarray, "rows length"], Int[np.ndarray, "rows length"]]:
    """Token rows and their labels: only what is written is learned.

    Returns:
        Tokens, and labels with -100 on the prompt. The first label is predicted from the last token of the prompt.
    """
    prompt = arm.prompt(task, inputs)
    target = arm.target(task, inputs, generator)
    tokens = np.concatenate([prompt, target], axis=1)
    labels = np.concatenate([np.full_like(prompt, IGNORED), target], axis=1)
    return tokens, labels
