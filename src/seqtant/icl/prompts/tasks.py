"""A labeling task: examples, how one is written down, which labels there are; and the registry of named tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seqtant.errors import InputError
from seqtant.registry import Registry

TEMPLATE = "Input: {input}\nLabel: {label}"
DELIMITER = "\n\n"


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
    """All before the label."""
    label: str
    """The label with the space before it."""
    tail: str
    """What follows the label, the delimiter included."""

    @property
    def text(self) -> str:
        """The example as the prompt shows it."""
        return self.head + self.label + self.tail


@dataclass(frozen=True, kw_only=True)
class Task:
    r"""A labeling task as it is put into prompts.

    Example:
        >>> task = Task(name="mood", examples=(Example("fine", "good"), Example("awful", "bad")))
        >>> task.labels, task.write(task.examples[0]).text
        (('good', 'bad'), 'Input: fine\nLabel: good\n\n')
    """

    name: str
    """Name of the task."""
    examples: tuple[Example, ...]
    """Labeled examples."""
    template: str = TEMPLATE
    """How an example is written: a text with ``{input}`` and, after it, ``{label}``."""
    labels: tuple[str, ...] = ()
    """All labels; by default those of the examples, in order of appearance."""
    delimiter: str = DELIMITER
    """What stands between examples."""
    opening: str = ""
    """What stands before the first example, e.g. an instruction."""
    weight: float = 1.0
    """Prior weight against the other tasks."""
    abstract: tuple[str, ...] = ()
    """Words that may stand for the labels when they are made meaningless."""
    usual: tuple[str, ...] = ()
    """Labels that the task gives on purpose, if others only slip in; by default all."""
    is_law: bool = False
    """Whether the examples are independent draws of a law: equal ones then count as often as they come."""

    def __post_init__(self) -> None:
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
        """One example in pieces; spaces before the label go with the label, as tokenizers want it."""
        before, _, after = self.template.partition("{label}")
        head = before.replace("{input}", example.input)
        bare = head.rstrip(" ")
        return Parts(bare, head[len(bare) :] + example.label, after + self.delimiter)

    def prompt(self, shots: Sequence[Example]) -> str:
        """Opening and some examples."""
        return self.opening + "".join(self.write(shot).text for shot in shots)


TASKS: Registry[Callable[[], Task]] = Registry("task", group="seqtant.icl_tasks")
"""Name -> function that makes the task; packages add theirs under the entry-point group ``seqtant.icl_tasks``."""


def common_labels(tasks: Sequence[Task]) -> tuple[str, ...]:
    """The labels of all tasks, each once: what a model has to choose from as long as it does not know the task."""
    return tuple(dict.fromkeys(label for task in tasks for label in task.labels))
