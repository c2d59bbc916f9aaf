"""The labeling games of the reference world as tasks, with what is exactly true of them."""

from __future__ import annotations

from functools import cache

import numpy as np

from seqtant.icl.prompts.tasks import Example, Task
from seqtant.reference.task_truths import TaskTruths
from seqtant.reference.world.games import GameSettings
from seqtant.reference.world.sentences import SentenceKind
from seqtant.reference.world.world import World, WorldSettings

ABSTRACT = ("key", "ring", "coin", "hat", "ball", "cup", "pen", "map", "box")
"""Words of the world that are no labels: they stand for labels without meaning."""


def reference_tasks(count: int, generator: np.random.Generator) -> list[Task]:
    """Every game of the reference world with examples drawn from its exact law.

    Args:
        count: Examples per task.
        generator: Source of chance.

    Example:
        >>> task = reference_tasks(3, np.random.default_rng(0))[0]
        >>> task.name, task.labels[:2], task.prompt(task.examples[:1])
        ('size', ('small', 'big'), 'game : big blue cat : small . ')
    """
    truths, game = task_truths(), WorldSettings().game
    weights = dict(zip(truths.tasks, truths.prior, strict=True))
    return [
        Task(
            name=task.name,
            examples=_draw(game, truths, number, count, generator),
            template="{input} : {label} .",
            labels=_labels_of(game, task.labels),
            usual=task.labels,
            delimiter=" ",
            opening="game : ",
            weight=float(weights[task.name]),
            abstract=ABSTRACT,
            is_law=True,
        )
        for number, task in enumerate(game.tasks)
    ]


@cache
def task_truths() -> TaskTruths:
    """The exact mixture of the reference world's games."""
    settings = WorldSettings()
    kind = World.of(settings).kinds["game"]
    if not isinstance(kind, SentenceKind):
        raise TypeError("games are sentences of one hidden task")
    return TaskTruths(kind, settings.game)


def _labels_of(game: GameSettings, own: tuple[str, ...]) -> tuple[str, ...]:
    """A task's own labels first; the others can come too, as strays."""
    return (*own, *(label for label in game.labels if label not in own))


def _draw(
    game: GameSettings, truths: TaskTruths, task: int, count: int, generator: np.random.Generator
) -> tuple[Example, ...]:
    shown = generator.choice(len(game.inputs), size=count, p=truths.inputs[task])
    chances = truths.labels[task][shown].cumsum(axis=1)
    label = (generator.random(count)[:, None] > chances).sum(axis=1).clip(max=len(game.labels) - 1)
    return tuple(
        Example(" ".join(game.inputs[row]), game.labels[column]) for row, column in zip(shown, label, strict=True)
    )
