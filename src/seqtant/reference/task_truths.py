"""What is true of the world's few-shot tasks: how fast a shot tells them apart, split into its input and its label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from seqtant.reference.evidence import SentenceClasses, divergence
from seqtant.reference.world.games import GameSettings
from seqtant.reference.world.sentences import SentenceKind


@dataclass(frozen=True)
class TaskTruths:
    """The exact mixture of labeling tasks; divergences are in nats per shot, rows the true task.

    Example:
        >>> from seqtant.reference.world.world import reference_world
        >>> truths = TaskTruths(reference_world().kinds["game"], GameSettings())
        >>> truths.tasks[0], round(float(truths.divergences[0, 1]), 3)
        ('size', 5.872)
    """

    kind: SentenceKind
    """The games of a world."""
    settings: GameSettings
    """The settings they were made of."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return self.kind.latents

    @property
    def prior(self) -> Float[np.ndarray, " tasks"]:
        """Probability of each task."""
        return self.kind.prior

    @property
    def divergences(self) -> Float[np.ndarray, "tasks tasks"]:
        """KL divergence of a whole shot."""
        return SentenceClasses(self.kind.grammar).divergences()

    @property
    def variances(self) -> Float[np.ndarray, "tasks tasks"]:
        """Variance of the log-ratio of a whole shot."""
        return SentenceClasses(self.kind.grammar).variances()

    @property
    def inputs(self) -> Float[np.ndarray, "tasks inputs"]:
        """p(input | task)."""
        game = self.settings
        return np.array([[game.input_probability(task, shown) for shown in game.inputs] for task in game.tasks])

    @property
    def labels(self) -> Float[np.ndarray, "tasks inputs labels"]:
        """p(label | input, task)."""
        game = self.settings
        return np.array(
            [
                [[game.label_probability(task, shown, label) for label in game.labels] for shown in game.inputs]
                for task in game.tasks
            ]
        )

    @property
    def input_divergences(self) -> Float[np.ndarray, "tasks tasks"]:
        """KL divergence of the inputs alone: what survives random labels."""
        return np.array([[divergence(first, second) for second in self.inputs] for first in self.inputs])

    @property
    def label_divergences(self) -> Float[np.ndarray, "tasks tasks"]:
        """KL divergence of the labels given the inputs."""
        return self.divergences - self.input_divergences

    @property
    def accuracy(self) -> Float[np.ndarray, " tasks"]:
        """Probability that the likeliest label comes, the task being known: the plateau of accuracy against shots."""
        return np.einsum("ti,ti->t", self.inputs, self.labels.max(axis=2))
