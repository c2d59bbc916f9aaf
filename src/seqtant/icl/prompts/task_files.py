"""Tasks from JSON lines: one example a line, and optionally a first line that says how examples are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtant.data.json_lines import read_lines, value_of
from seqtant.errors import InputError
from seqtant.icl.prompts.tasks import DELIMITER, TASKS, TEMPLATE, Example, Task
from seqtant.settings import build


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """The optional first line; the fields mean what those of :class:`Task` mean."""

    name: str
    template: str = TEMPLATE
    labels: tuple[str, ...] = ()
    delimiter: str = DELIMITER
    opening: str = ""
    weight: float = 1.0
    abstract: tuple[str, ...] = ()


def read_task(path: str) -> Task:
    """Reads a task; examples that come twice are kept once.

    Args:
        path: File of JSON lines with ``input`` and ``label``. A first line without ``input`` holds settings: name,
            template, labels, delimiter, opening, weight, abstract.

    Raises:
        InputError: The file or a line cannot be used.
    """
    lines = _read_lines(path)
    given: dict[str, Any] = {}
    place = f"'{path}'"
    if "input" not in lines[0][1]:
        place, given = lines.pop(0)
    examples = tuple(dict.fromkeys(_example(record, place) for place, record in lines))
    if not examples:
        raise InputError(f"'{path}' holds no examples: give lines with 'input' and 'label'")
    for key in ("labels", "abstract"):
        if isinstance(given.get(key), list):
            given[key] = [_label(label, f"{place}, {key}") for label in given[key]]
    settings = build(TaskSettings, {"name": Path(path).stem} | given, source=place)
    return Task(
        examples=examples,
        name=settings.name,
        template=settings.template,
        labels=settings.labels,
        delimiter=settings.delimiter,
        opening=settings.opening,
        weight=settings.weight,
        abstract=settings.abstract,
    )


def read_shots(path: str) -> tuple[Example, ...]:
    """Reads the examples of one prompt, in order, repetitions kept.

    Raises:
        InputError: The file or a line cannot be used.
    """
    return tuple(_example(record, place) for place, record in _read_lines(path))


def _read_lines(path: str) -> list[tuple[str, dict[str, Any]]]:
    known = f" ({', '.join(TASKS)})" if len(TASKS) else ""
    return list(read_lines(path, give=f"JSON lines with 'input' and 'label', or the name of a task{known}"))


def _example(record: dict[str, Any], place: str) -> Example:
    shown, label = (value_of(record, key, place) for key in ("input", "label"))
    if not isinstance(shown, str) or not shown.strip():
        raise InputError(f"{place}: 'input' is {shown!r}: it must be a text that is not empty")
    return Example(shown, _label(label, place))


def _label(value: Any, place: str) -> str:
    """A label as text: 0, false and "" are labels like any other."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise InputError(f"{place}: a label is {value!r}: it must be a text or a number")
    return str(value)
