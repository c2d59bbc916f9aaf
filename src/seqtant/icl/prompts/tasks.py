"""Labeling tasks and how their examples are written; the registry; tasks from files and of the reference world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from seqtant.errors import InputError
from seqtant.registry import Registry
from seqtant.settings import build
from seqtant.sources import Rows, is_path, read_lines, value_of

if TYPE_CHECKING:
    from seqtant.reference.truths import TaskTruths
    from seqtant.reference.world.documents import SentenceKind

TEMPLATE = "Input: {input}\nLabel: {label}"
DELIMITER = "\n\n"
REFERENCE_ABSTRACT = ("key", "ring", "coin", "hat", "ball", "cup", "pen", "map", "box")
"""Words of the reference world that are no labels: they serve as labels without meaning."""


@dataclass(frozen=True)
class Example:
    """One input with its label."""

    input: str
    """What is to be labeled."""
    label: str
    """Its label."""


@dataclass(frozen=True)
class Parts:
    """One example written down, in pieces that are joined without anything between."""

    head: str
    """Everything before the label."""
    label: str
    """The label with the space before it."""
    tail: str
    """What follows the label, the delimiter included."""

    @property
    def text(self) -> str:
        """The example as the prompt shows it."""
        return self.head + self.label + self.tail


@dataclass(frozen=True)
class Task:
    r"""A labeling task as it is put into prompts.

    Example:
        >>> task = Task("mood", (Example("fine", "good"), Example("awful", "bad")))
        >>> task.labels, task.write(task.examples[0]).text
        (('good', 'bad'), 'Input: fine\nLabel: good\n\n')
    """

    name: str
    """Name of the task."""
    examples: tuple[Example, ...]
    """Labeled examples."""
    _: KW_ONLY
    template: str = TEMPLATE
    """How an example is written: a text with ``{input}`` and, after it, ``{label}``."""
    labels: tuple[str, ...] = ()
    """All labels; by default those of the examples, in order of appearance."""
    delimiter: str = DELIMITER
    """Text between examples."""
    opening: str = ""
    """Text before the first example, e.g. an instruction."""
    weight: float = 1.0
    """Prior weight against the other tasks."""
    abstract: tuple[str, ...] = ()
    """Words that may replace the labels to make them meaningless."""
    usual: tuple[str, ...] = ()
    """Labels that the task gives on purpose, if others are only noise; by default all."""
    is_law: bool = False
    """Whether the examples are independent samples of a distribution: duplicates then count as often as they come."""

    def __post_init__(self) -> None:
        # The dataclass is frozen: defaults that depend on other fields go in past it.
        object.__setattr__(self, "examples", tuple(self.examples))
        if not self.labels:
            object.__setattr__(self, "labels", tuple(dict.fromkeys(example.label for example in self.examples)))
        if not self.usual:
            object.__setattr__(self, "usual", self.labels)
        order = [self.template.find(mark) for mark in ("{input}", "{label}")]
        if min(order) < 0 or order[0] > order[1] or any(self.template.count(m) > 1 for m in ("{input}", "{label}")):
            raise InputError(
                f"task '{self.name}': template {self.template!r} must hold {{input}} once and, after it, {{label}} once"
            )
        if len(self.labels) < 2:
            raise InputError(f"task '{self.name}' has {len(self.labels)} label(s): there is nothing to predict")
        if len(set(self.labels)) < len(self.labels):
            raise InputError(f"task '{self.name}' lists a label twice: {', '.join(map(repr, self.labels))}")
        strange = [example.label for example in self.examples if example.label not in self.labels]
        if strange:
            raise InputError(f"task '{self.name}' has an example labeled {strange[0]!r}, which is none of its labels")
        if not self.weight > 0:
            raise InputError(f"task '{self.name}' has weight {self.weight}: it must be positive")
        if not self.delimiter and not self.template.partition("{label}")[2]:
            raise InputError(f"task '{self.name}' has nothing between its examples: give a delimiter")

    def write(self, example: Example) -> Parts:
        """Writes one example in pieces."""
        # Tokenizers join a space to the word after it: the label takes along the spaces at the end of its head.
        before, _, after = self.template.partition("{label}")
        head = before.replace("{input}", example.input)
        # The spaces move from the head to the label: the text as a whole stays the same.
        bare = head.rstrip(" ")
        return Parts(bare, head[len(bare) :] + example.label, after + self.delimiter)

    def prompt(self, shots: Sequence[Example]) -> str:
        """Joins the opening and some examples."""
        return self.opening + "".join(self.write(shot).text for shot in shots)


TASKS: Registry[Callable[[], Task]] = Registry("task", group="seqtant.icl_tasks")
"""Name -> function that makes the task; packages add theirs under the entry-point group ``seqtant.icl_tasks``."""


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """The optional first line of a task file, with the fields of :class:`Task`."""

    name: str
    template: str = TEMPLATE
    labels: tuple[str, ...] = ()
    delimiter: str = DELIMITER
    opening: str = ""
    weight: float = 1.0
    abstract: tuple[str, ...] = ()


def read_task(source: Rows, *, name: str = "") -> Task:
    """Reads a task from JSON lines or from rows in memory; duplicate examples are kept once.

    Args:
        source: File of JSON lines with ``input`` and ``label``; or pairs, dictionaries, examples, a data set, a data
            frame. A first row without ``input`` holds settings: name, template, labels, delimiter, opening, weight,
            abstract.
        name: Name of the task unless the settings give one; by default that of the file.

    Raises:
        InputError: The file or a row cannot be used.

    Example:
        >>> read_task([("fine", "good"), ("awful", "bad")], name="mood").labels
        ('good', 'bad')
    """
    rows = _read_rows(source)
    whole = name or (Path(str(source)).stem if is_path(source) else "task")
    place = f"'{source}'" if is_path(source) else f"task '{whole}'"
    given: dict[str, Any] = {}
    # A first row without an input holds the settings; faults in them are reported with that row.
    if "input" not in rows[0][1]:
        place, given = rows.pop(0)
    examples = tuple(dict.fromkeys(_example(record, place) for place, record in rows))
    if not examples:
        raise InputError(f"{place} holds no examples: give rows with 'input' and 'label'")
    # Labels may be numbers or booleans in JSON; as text they are like any other.
    for key in ("labels", "abstract"):
        if isinstance(given.get(key), list | tuple):
            given[key] = [_label(label, f"{place}, {key}") for label in given[key]]
    settings = build(TaskSettings, {"name": whole} | given, source=place)
    return Task(examples=examples, **vars(settings))


def read_prompt(source: Rows) -> tuple[Example, ...]:
    """Reads the examples of one prompt from JSON lines or rows in memory, in order, duplicates kept."""
    return tuple(_example(record, place) for place, record in _read_rows(source))


def _read_rows(source: Rows) -> list[tuple[str, dict[str, Any]]]:
    if not is_path(source) and not hasattr(source, "__iter__"):
        raise InputError(f"{source!r:.60} is neither a file nor a list of rows: give (input, label) for each example")
    known = f" ({', '.join(TASKS)})" if len(TASKS) else ""
    give = f"JSON lines with 'input' and 'label', or the name of a task{known}"
    return list(read_lines(source, give=give, fields=("input", "label")))


def _example(record: dict[str, Any], place: str) -> Example:
    text, label = (value_of(record, key, place) for key in ("input", "label"))
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{place}: 'input' is {text!r}: it must be a text that is not empty")
    return Example(text, _label(label, place))


def _label(value: Any, place: str) -> str:
    """A label as text: 0, false and "" are labels like any other."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise InputError(f"{place}: a label is {value!r}: it must be a text or a number")
    return str(value)


@cache
def task_truths() -> TaskTruths:
    """Builds the exact mixture of the reference world's games."""
    from seqtant.reference.truths import TaskTruths
    from seqtant.reference.world.world import World, WorldSettings

    settings = WorldSettings()
    return TaskTruths(cast("SentenceKind", World.of(settings).kinds["game"]), settings.game)


def game_names() -> tuple[str, ...]:
    """Names the games of the reference world, which serve as tasks.

    Example:
        >>> game_names()[:2]
        ('size', 'color')
    """
    from seqtant.reference.world.world import WorldSettings

    return tuple(task.name for task in WorldSettings().game.tasks)


def reference_tasks(count: int, generator: np.random.Generator) -> list[Task]:
    """Samples ``count`` examples for every game of the reference world from its exact distribution.

    Example:
        >>> task = reference_tasks(3, np.random.default_rng(0))[0]
        >>> task.name, task.labels[:2], task.prompt(task.examples[:1])
        ('size', ('small', 'big'), 'game : big blue cat : small . ')
    """
    from seqtant.reference.world.world import WorldSettings

    truths, game = task_truths(), WorldSettings().game
    weights = dict(zip(truths.tasks, truths.prior, strict=True))
    tasks = []
    for number, task in enumerate(game.tasks):
        rows = generator.choice(len(game.inputs), size=count, p=truths.inputs[number])
        # Inverse of the cumulative distribution of labels; the last sum may fall short of 1 by rounding.
        cumulative = truths.labels[number][rows].cumsum(axis=1)  # [examples, labels]
        columns = (generator.random(count)[:, None] > cumulative).sum(axis=1).clip(max=len(game.labels) - 1)
        tasks.append(
            Task(
                name=task.name,
                examples=tuple(
                    Example(" ".join(game.inputs[row]), game.labels[column])
                    for row, column in zip(rows, columns, strict=True)
                ),
                template="{input} : {label} .",
                # The task's own labels first; those of other games can come too, as noise.
                labels=(*task.labels, *(label for label in game.labels if label not in task.labels)),
                usual=task.labels,
                delimiter=" ",
                opening="game : ",
                weight=float(weights[task.name]),
                abstract=REFERENCE_ABSTRACT,
                is_law=True,
            )
        )
    return tasks
