"""Problems as rows: an input, the steps of its solution, an answer; from JSON lines, from a task, or built in.

The positions that a step reads count the items of the input first (a text is one item), then the steps in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seqtant.errors import InputError, suggest
from seqtant.runs.files import write_text
from seqtant.sources import Rows, is_path, read_lines
from seqtant.subtasks.config import RowSource
from seqtant.subtasks.tasks.builtin import is_arithmetic
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
            {key: getattr(step, key) for key in ("text", "value", "reads") if getattr(step, key) not in ("", None)}
            for step in self.steps
        ]
        return {"input": self.input, "steps": steps, "answer": self.answer}


def read_rows(source: Rows) -> list[Row]:
    """Reads rows from JSON lines, or from memory: dictionaries, :class:`Row` objects, ``(input, steps, answer)``.

    Raises:
        InputError: The file or a row cannot be used.

    Example:
        >>> read_rows([("2+3+4", ["2+3=5", "5+4=9"], 9)])[0].answer_text
        '9'
    """
    return [parse_row(record, place) for place, record in read_lines(source, fields=("input", "steps", "answer"))]


def parse_row(record: Mapping[str, Any], place: str) -> Row:
    """Parses a row from JSON data.

    Example:
        >>> parse_row({"input": "2+3+4", "steps": [{"text": "2+3=5", "value": 5}], "answer": 9}, "here").answer_text
        '9'
        >>> parse_row({"input": "2+3+4", "steps": ["2+3=5"], "answer": 9}, "here").steps[0].written
        '2+3=5'
    """
    for key in ("input", "steps", "answer"):
        if key not in record:
            raise InputError(f"{place} has no '{key}'{suggest(key, record)}: it has {', '.join(record) or 'nothing'}")
    given, steps, answer = (_listed(record[key]) for key in ("input", "steps", "answer"))
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


def _listed(value: Any) -> Any:
    """Arrays and tuples as lists of plain values, as JSON has them."""
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return list(value) if isinstance(value, tuple) else value


def _parse_step(record: Any, place: str) -> RowStep:
    if isinstance(record, str) and record:
        return RowStep(value=record)
    if isinstance(record, RowStep):
        record = vars(record)
    # A step may be a text, or an object with a value, a text or both.
    if not isinstance(record, Mapping) or not ({"value", "text"} & set(record)):
        raise InputError(f'{place}: write a text, or {{"text": ..., "value": ...}} and \'reads\' if you know them')
    # Tables of one schema hold None where a step has no such key.
    text, value, reads = (_listed(record.get(key)) for key in ("text", "value", "reads"))
    text = "" if text is None else text
    value = text if value is None else value
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


def load_rows(source: RowSource, seed: int = 0) -> dict[Split, list[Row]]:
    """Loads rows by split: from a file or a list (split by input), a folder or mapping of splits, or built-in ones.

    Args:
        source: A .jsonl file, a folder with ``train.jsonl``, ``arithmetic``; or rows in memory, as a list or as a
            mapping of ``train``, ``validation`` and ``test``.
        seed: Seed of the built-in rows.

    Raises:
        InputError: There is nothing to read, or it cannot be read.
    """
    if is_arithmetic(source):
        return split_by_input(arithmetic_rows(1000, np.random.default_rng([seed, 7])))
    if isinstance(source, Mapping):
        unknown = sorted(str(name) for name in source if name not in SPLITS)
        if unknown:
            raise InputError(f"unknown split '{unknown[0]}'{suggest(unknown[0], SPLITS)}: use {', '.join(SPLITS)}")
        # A split may be empty, all of them may not.
        given: dict[Split, Any] = {split: rows for split in SPLITS if len(rows := source.get(split, ()))}
        if not given:
            raise InputError("there are no rows: give at least one")
        found: dict[Split, list[Row]] = {split: [] for split in SPLITS}
        for split, rows in given.items():
            # The place of a row in memory says which split it is in.
            prefix = "" if is_path(rows) else f"{split}, "
            found[split] = [replace(row, place=f"{prefix}{row.place}") for row in read_rows(rows)]
        return found
    if not is_path(source) or not Path(source).is_dir():
        return split_by_input(read_rows(source))
    files: dict[Split, Path] = {split: Path(source) / f"{split}.jsonl" for split in SPLITS}
    if not files["train"].is_file():
        raise InputError(f"the folder '{source}' has no train.jsonl: give a file of rows or what 'subtasks make' wrote")
    return {split: read_rows(file) if file.is_file() else [] for split, file in files.items()}


def make_rows(
    task: Task | Literal["arithmetic"], rows: int = 1000, test_rows: int | None = None, *, seed: int = 0
) -> dict[Split, list[Row]]:
    """Makes rows of a task by split; no input is there twice.

    Args:
        task: The task, or ``arithmetic`` for problems in words.
        rows: Rows to train on.
        test_rows: Rows to validate and rows to test on; by default a quarter of the training rows each;
            of problems in words there may be a few less.
        seed: Seed of the inputs.

    Raises:
        InputError: The task has too few inputs.

    Example:
        >>> from seqtant.subtasks.tasks.builtin import parity
        >>> {split: len(rows) for split, rows in make_rows(parity(12), 40).items()}
        {'train': 40, 'validation': 10, 'test': 10}
    """
    tests = test_rows or max(1, rows // 4)
    counts: dict[Split, int] = {"train": rows, "validation": tests, "test": tests}
    if isinstance(task, Task):
        found: dict[Split, list[Row]] = {split: [] for split in SPLITS}
        for number, split in enumerate(SPLITS):
            inputs = draw_distinct(task, split, counts[split], np.random.default_rng([seed, 9, number]))
            for tokens, values in zip(inputs.tolist(), task.labels(inputs).tolist(), strict=True):
                pairs = zip(task.steps, values, strict=True)
                steps = tuple(RowStep(value=value, reads=step.reads) for step, value in pairs)
                answer = [values[each] for each in task.answer]
                whole = tuple(answer) if len(answer) > 1 else answer[0]
                found[split].append(Row(input=tuple(tokens), steps=steps, answer=whole))
        return found
    # Each test split gets a tenth of the inputs: at least 12 times its size is made, then cut.
    made = arithmetic_rows(3 * max(rows, 4 * tests) + 60, np.random.default_rng([seed, 7]))
    return {split: found[: counts[split]] for split, found in split_by_input(made).items()}


def split_by_input(rows: Sequence[Row]) -> dict[Split, list[Row]]:
    """Groups rows by the split of their input, whatever their order."""
    found: dict[Split, list[Row]] = {split: [] for split in SPLITS}
    for row in rows:
        # Equal inputs have equal hashes: they never end up in two splits.
        found[split_of(json.dumps(row.input).encode())].append(row)
    return found


def arithmetic_rows(count: int, generator: np.random.Generator, *, longest: int = 4) -> list[Row]:
    """Samples problems in words, 2 to ``longest`` changes by 1 to 9, the total step by step; all inputs differ.

    Example:
        >>> row = arithmetic_rows(1, np.random.default_rng(1))[0]
        >>> row.input, [step.text for step in row.steps], row.answer
        ('start 5 , finds 7 , buys 1 , sells 3', ['5 + 7 = 12', '12 + 1 = 13', '13 - 3 = 10'], 10)
    """
    found: dict[str, Row] = {}
    while len(found) < count:
        changes, total = int(generator.integers(2, longest + 1)), int(generator.integers(1, 10))
        words, steps = [f"start {total}"], []
        for number in range(changes):
            amount = int(generator.integers(1, 10))
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
