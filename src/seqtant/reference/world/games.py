"""Games: shots of one of several labeling tasks over shared inputs; the task is hidden and must be inferred."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from seqtant.reference.world.sentences import Weighted

SIZES = ("small", "big")
COLORS = ("red", "blue", "green", "black")
PETS = ("cat", "dog", "rabbit")
BEASTS = ("wolf", "fox", "bear")
Input = tuple[str, str, str]
"""Size, color, animal."""


@dataclass(frozen=True)
class LabelTask:
    """One labeling task: which label is right for which input, how noisy, and which inputs it prefers."""

    name: str
    """Name of the task."""
    weight: float
    """Probability that a game plays this task."""
    rule: str
    """What decides the label: ``size``, ``color``, ``animal``; or, answered with yes or no, ``big?``, ``small?``,
    ``dark?``, ``pet?``, ``beast?``."""
    flip: float
    """Probability of another label of the same task instead of the right one."""
    animals: tuple[float, ...] = ()
    """Weight of each animal in the inputs; empty means all alike. Such a task shows in its inputs already."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels the task uses."""
        named = {"size": SIZES, "color": COLORS, "animal": ("pet", "beast")}
        return named.get(self.rule, ("yes", "no"))

    def label(self, shown: Input) -> str:
        """The right label of an input."""
        size, color, animal = shown
        named = {"size": size, "color": color, "animal": "pet" if animal in PETS else "beast"}
        if self.rule in named:
            return named[self.rule]
        holds = {
            "big?": size == "big",
            "small?": size == "small",
            "dark?": color in {"blue", "black"},
            "pet?": animal in PETS,
            "beast?": animal in BEASTS,
        }
        return "yes" if holds[self.rule] else "no"


TASKS = (
    LabelTask("size", 0.16, "size", flip=0.05),
    LabelTask("color", 0.14, "color", flip=0.06),
    LabelTask("animal", 0.14, "animal", flip=0.05),
    LabelTask("is_big", 0.20, "big?", flip=0.05),
    LabelTask("is_small", 0.05, "small?", flip=0.05),
    LabelTask("is_dark", 0.14, "dark?", flip=0.08),
    LabelTask("is_pet", 0.12, "pet?", flip=0.10, animals=(3, 3, 3, 1, 1, 1)),
    LabelTask("is_beast", 0.05, "beast?", flip=0.10, animals=(1, 1, 1, 3, 3, 3)),
)


@dataclass(frozen=True)
class GameSettings:
    """Which tasks there are."""

    tasks: tuple[LabelTask, ...] = TASKS
    """The tasks, with their probabilities."""
    sizes: tuple[str, ...] = SIZES
    """First word of an input."""
    colors: tuple[str, ...] = COLORS
    """Second word of an input."""
    animals: tuple[str, ...] = PETS + BEASTS
    """Third word of an input."""
    stray: float = 0.02
    """Probability of a label drawn from all labels of all tasks: it keeps every label possible in every task."""
    end: float = 1 / 28
    """Probability that a game ends after a shot."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """All inputs."""
        return tuple(product(self.sizes, self.colors, self.animals))

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels of all tasks."""
        return tuple(dict.fromkeys(label for task in self.tasks for label in task.labels))

    def input_probability(self, task: LabelTask, shown: Input) -> float:
        """p(input | task)."""
        weights = dict(zip(self.animals, task.animals or (1,) * len(self.animals), strict=True))
        return weights[shown[2]] / sum(weights.values()) / (len(self.sizes) * len(self.colors))

    def label_probability(self, task: LabelTask, shown: Input, label: str) -> float:
        """p(label | input, task)."""
        stray = self.stray / len(self.labels)
        if label not in task.labels:
            return stray
        right = label == task.label(shown)
        return stray + (1 - self.stray) * (1 - task.flip if right else task.flip / (len(task.labels) - 1))

    def sentences(self) -> list[Weighted]:
        """The shots with their probability under each task."""
        return [
            Weighted(
                f"{' '.join(shown)} : {label} .",
                tuple(
                    self.input_probability(task, shown) * self.label_probability(task, shown, label)
                    for task in self.tasks
                ),
            )
            for shown, label in product(self.inputs, self.labels)
        ]
