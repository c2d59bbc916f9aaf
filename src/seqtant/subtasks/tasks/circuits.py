"""Circuits that a user wrote down: a JSON file of steps, each a named gate or a table, becomes a task."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqtant.errors import InputError
from seqtant.subtasks.tasks.gates import gate_table
from seqtant.subtasks.tasks.task import Step, Task

_KEYS = {"name", "inputs", "alphabet", "steps", "answer"}


def read_circuit(path: str | Path) -> Task:
    """Reads a circuit from a JSON file.

    ``{"inputs": 3, "steps": [{"reads": [0, 1], "gate": "and"}, {"reads": [3, 2], "table": [0, 1, 1, 0]}]}``; optional
    are ``name``, ``alphabet`` (2 by default) and ``answer`` (the steps that make the answer, by default the last).

    Raises:
        InputError: The file or a step cannot be used.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"no file '{path}': give a JSON file with 'inputs' and 'steps'")
    try:
        data: Any = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"'{path}' is not JSON: {str(error).splitlines()[0]}") from error
    return from_circuit(data, name=file.stem)


def from_circuit(data: Any, *, name: str = "circuit") -> Task:
    """A task from plain data, as :func:`read_circuit` reads it.

    Raises:
        InputError: A key is missing, unknown or does not fit.

    Example:
        >>> from_circuit({"inputs": 2, "steps": [{"reads": [0, 1], "gate": "or"}]}).steps[0].table
        (0, 1, 1, 1)
    """
    steps = data.get("steps") if isinstance(data, Mapping) else None
    if not isinstance(steps, list) or not steps or type(data.get("inputs")) is not int:
        raise InputError(f"circuit '{name}' needs 'inputs' (a number) and 'steps' (a list with at least one step)")
    unknown = set(data) - _KEYS
    if unknown:
        raise InputError(
            f"circuit '{name}' has unknown key '{sorted(unknown)[0]}': known are {', '.join(sorted(_KEYS))}"
        )
    alphabet = data.get("alphabet", 2)
    if type(alphabet) is not int or alphabet < 2:
        raise InputError(f"circuit '{name}' has alphabet {alphabet!r}: give a whole number of at least 2")
    built = tuple(_step(each, f"step {number} of '{name}'", alphabet) for number, each in enumerate(steps))
    answer = tuple(data.get("answer", (-1,)))
    if not answer or not all(type(each) is int and -len(built) <= each < len(built) for each in answer):
        raise InputError(f"circuit '{name}' has answer {list(answer)}: name some of its {len(built)} steps")
    return Task(name=str(data.get("name", name)), inputs=data["inputs"], alphabet=alphabet, steps=built, answer=answer)


def plain_circuit(task: Task) -> dict[str, object]:
    """The inverse of :func:`from_circuit`: a task as JSON data."""
    return {
        "name": task.name,
        "inputs": task.inputs,
        "alphabet": task.alphabet,
        "steps": [{"reads": list(step.reads), "table": list(step.table)} for step in task.steps],
        "answer": list(task.answer),
    }


def _step(data: Any, what: str, alphabet: int) -> Step:
    if not isinstance(data, Mapping) or not _whole_numbers(data.get("reads")):
        raise InputError(f"{what} needs 'reads', a list of positions")
    reads = tuple(data["reads"])
    if alphabet ** min(len(reads), 64) > 1_000_000:
        raise InputError(f"{what} reads {len(reads)} tokens: that is no small step, split it")
    if _whole_numbers(data.get("table")):
        return Step(reads, tuple(data["table"]))
    if not isinstance(data.get("gate"), str):
        raise InputError(f"{what} needs 'gate' (a name) or 'table' (a list of tokens)")
    return Step(reads, gate_table(data["gate"], len(reads), alphabet))


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(type(each) is int for each in value)
