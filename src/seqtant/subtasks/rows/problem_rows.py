"""Problems as rows: an input, the steps of its solution, an answer; from JSON lines, from a task, or built in.

The positions that a step reads count the items of the input first (a text is one item), then the steps in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seqtant.data.json_lines import read_lines
from seqtant.errors import InputError, suggest
from seqtant.runs.files import write_text
from seqtant.subtasks.tasks.builtin import BUILT_IN_ROWS
from seqtant.subtasks.tasks.splits import SPLITS, Split, draw_distinct, split_of
from seqtant.subtasks.tasks.task import Task

Value = str | int | float | bool
CHANGES = {"+": ("buys", "finds"), "-": ("sells", "loses")}
"""Verbs of the built-in problems."""


@dataclass(frozen=True, kw_only=True)
class RowStep:
    """One step of a solution."""

    value: Value
    """Its result."""
    text: str = ""
    """Its text; by default the value."""
    reads: tuple[int, ...] | None = None
    """Positions of the items it depends on; None if the row does not say."""

    @property
    def written(self) -> str:
        """The step as text."""
        return self.text or str(self.value)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One problem with its solution."""

    input: str | tuple[Value, ...]
    """The problem: a text, or a list of items."""
    steps: tuple[RowStep, ...]
    """Its solution."""
    answer: Value | tuple[Value, ...]
    """The result to be found."""
    place: str = ""
    """File and line, for error messages."""

    @property
    def items(self) -> int:
        """Number of items of the input."""
        return 1 if isinstance(self.input, str) else len(self.input)

    @property
    def input_text(self) -> str:
        """The input as text; items are separated by spaces."""
        return self.input if isinstance(self.input, str) else " ".join(map(str, self.input))

    @property
    def answer_text(self) -> str:
        """The answer as text."""
        return " ".join(map(str, self.answer)) if isinstance(self.answer, tuple) else str(self.answer)

    def to_json(self) -> dict[str, Any]:
        """Converts the row to JSON data, without the fields of a step that are empty."""
        steps = [
            {
                key: value
                for key, value in (("text", s.text), ("value", s.value), ("reads", s.reads))
                if value not in ("", None)
            }
            for s in self.steps
        ]
        return {"input": self.input, "steps": steps, "answer": self.answer}


def read_rows(path: str | Path) -> list[Row]:
    """Reads rows from JSON lines.

    Raises:
        InputError: The file or a line cannot be used.
    """
    return [parse_row(record, place) for place, record in read_lines(str(path))]


def parse_row(record: Mapping[str, Any], place: str) -> Row:
    """Parses a row from JSON data.

    Raises:
        InputError: Something is missing or of the wrong kind.

    Example:
        >>> parse_row({"input": "2+3+4", "steps": [{"text": "2+3=5", "value": 5}], "answer": 9}, "here").answer_text
        '9'
        >>> parse_row({"input": "2+3+4", "steps": ["2+3=5"], "answer": 9}, "here").steps[0].written
        '2+3=5'
    """
    for key in ("input", "steps", "answer"):
        if key not in record:
            raise InputError(f"{place} has no '{key}'{suggest(key, record)}: it has {', '.join(record) or 'nothing'}")
    given, steps, answer = record["input"], record["steps"], record["answer"]
    if not (isinstance(given, str) and given) and not _is_value_list(given):
        raise InputError(f"{place}: 'input' must be a text or a list of numbers or texts, and not empty")
    if not isinstance(steps, list):
        raise InputError(f"{place}: 'steps' must be a list")
    if not isinstance(answer, Value) and not _is_value_list(answer):
        raise InputError(f"{place}: 'answer' must be a number, a text or a list of them")
    return Row(
        input=given if isinstance(given, str) else tuple(given),
        steps=tuple(_parse_step(each, f"{place}, step {number}") for number, each in enumerate(steps)),
        answer=tuple(answer) if isinstance(answer, list) else answer,
        place=place,
    )


def _parse_step(record: Any, place: str) -> RowStep:
    if isinstance(record, str) and record:
        return RowStep(value=record)
    # A step may be a text, or an object with a value, a text or both.
    if not isinstance(record, Mapping) or not ({"value", "text"} & set(record)):
        raise InputError(f'{place}: write a text, or {{"text": ..., "value": ...}} and \'reads\' if you know them')
    text = record.get("text", "")
    value = record.get("value", text)
    reads = record.get("reads")
    if not isinstance(text, str) or not isinstance(value, Value):
        raise InputError(f"{place}: 'text' must be a text and 'value' a number or a text")
    if reads is not None and not (isinstance(reads, list) and all(type(each) is int for each in reads)):
        raise InputError(f"{place}: 'reads' must be a list of positions")
    return RowStep(value=value, text=text, reads=None if reads is None else tuple(reads))


def _is_value_list(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and all(isinstance(each, Value) for each in data)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Writes rows as JSON lines, atomically."""
    write_text(path, "".join(json.dumps(row.to_json()) + "\n" for row in rows))


def load_rows(source: str, seed: int = 0) -> dict[Split, list[Row]]:
    """Loads rows by split: from a file (split by input), a folder with one file per split, or built-in ones.

    Args:
        source: A .jsonl file, a folder with ``train.jsonl``, or ``arithmetic``.
        seed: Seed of the built-in rows.

    Raises:
        InputError: There is nothing to read, or it cannot be read.
    """
    if source == BUILT_IN_ROWS:
        return split_by_input(arithmetic_rows(1000, np.random.default_rng([seed, 7])))
    folder = Path(source)
    if not folder.is_dir():
        return split_by_input(read_rows(source))
    if not (folder / "train.jsonl").is_file():
        raise InputError(f"the folder '{source}' has no train.jsonl: give a file of rows or what 'subtasks make' wrote")
    found: dict[Split, list[Row]] = {}
    for split in SPLITS:
        file = folder / f"{split}.jsonl"
        found[split] = read_rows(file) if file.is_file() else []
    return found


def split_by_input(rows: Sequence[Row]) -> dict[Split, list[Row]]:
    """Groups rows by the split of their input, whatever their order."""
    found: dict[Split, list[Row]] = {split: [] for split in SPLITS}
    for row in rows:
        # Equal inputs have equal hashes: they never end up in two splits.
        found[split_of(json.dumps(row.input).encode())].append(row)
    return found


def task_rows(task: Task, split: Split, count: int, generator: np.random.Generator) -> list[Row]:
    """Makes rows of a task, with different inputs of one split."""
    inputs = draw_distinct(task, split, count, generator)
    rows = []
    for tokens, values in zip(inputs.tolist(), task.labels(inputs).tolist(), strict=True):
        steps = tuple(RowStep(value=value, reads=step.reads) for step, value in zip(task.steps, values, strict=True))
        answer = [values[each] for each in task.answer]
        rows.append(Row(input=tuple(tokens), steps=steps, answer=tuple(answer) if len(answer) > 1 else answer[0]))
    return rows


def arithmetic_rows(
    count: int, generator: np.random.Generator, *, shortest: int = 2, longest: int = 4, largest: int = 9
) -> list[Row]:
    """Samples arithmetic problems in words whose running total is followed step by step; all inputs differ.

    Args:
        count: Number of problems.
        generator: Random generator.
        shortest: Smallest number of changes.
        longest: Largest number of changes.
        largest: Largest single number.

    Example:
        >>> row = arithmetic_rows(1, np.random.default_rng(1))[0]
        >>> row.input, [step.text for step in row.steps], row.answer
        ('start 5 , finds 7 , buys 1 , sells 3', ['5 + 7 = 12', '12 + 1 = 13', '13 - 3 = 10'], 10)
    """
    found: dict[str, Row] = {}
    while len(found) < count:
        changes = int(generator.integers(shortest, longest + 1))
        total = int(generator.integers(1, largest + 1))
        words, steps = [f"start {total}"], []
        for number in range(changes):
            amount = int(generator.integers(1, largest + 1))
            # Subtraction only where the total stays at least 0.
            sign = "-" if total >= amount and generator.random() < 0.5 else "+"
            words.append(f"{CHANGES[sign][int(generator.integers(2))]} {amount}")
            after = total + amount if sign == "+" else total - amount
            # The text of the problem is item 0, so step n - 1 is item n.
            reads = (0, number) if number else (0,)
            steps.append(RowStep(text=f"{total} {sign} {amount} = {after}", value=after, reads=reads))
            total = after
        row = Row(input=" , ".join(words), steps=tuple(steps), answer=total)
        found[row.input_text] = row
    return list(found.values())
