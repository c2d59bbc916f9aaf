"""Checks of rows before anybody trains on them: can every step be found from a few things written before it?"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from seqtant.subtasks.rows.layout import lay_out
from seqtant.subtasks.rows.problem_rows import Row
from seqtant.subtasks.tasks.splits import Split
from seqtant.subtasks.tasks.task import Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

KINDS = {
    "not_recomputable": "a step's value does not follow from what it reads",
    "contradiction": "the same step reads the same values and finds another",
    "reads_later": "a step reads what is not written yet",
    "arity": "a step reads too many items",
    "no_steps": "a row has no steps",
    "broken_text": "a step is empty, holds a line break or characters beyond ASCII",
    "answer_differs": "the last step does not find the answer",
    "answer_leak": "the answer, or the text of a later step, stands there before its step",
    "duplicate": "an input appears twice in one split",
    "split_overlap": "an input appears in two splits",
    "token_merge": "one token holds the end of one piece and the beginning of the next",
}
"""Kind of violation -> its meaning."""

# Left side: digits, operators and brackets with at least one operator between two digits; right side: one number.
EQUATION = re.compile(
    r"(?P<left>[-+*/() .\d]*\d[-+*/() .\d]*[-+*/][-+*/() .\d]*\d[\s)]*)=\s*(?P<right>-?\d+(?:\.\d+)?)"
)
OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Violation:
    """One fault of a row."""

    kind: str
    place: str
    detail: str


def check_rows(
    splits: Mapping[Split, Sequence[Row]],
    *,
    max_arity: int,
    task: Task | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> list[Violation]:
    """Finds all violations of some rows.

    Args:
        splits: The rows of each split.
        max_arity: Largest number of items that one step may read.
        task: The task they belong to, whose steps are then recomputed; otherwise equations in the text are, and steps
            that say what they read are compared with one another.
        tokenizer: Must not merge pieces into one token; None leaves that out.
    """
    rows = [row for split in splits.values() for row in split]
    found = [violation for row in rows for violation in _check_form(row, max_arity)]
    found += [violation for row in rows for violation in _recompute(row, task)]
    found += _contradictions(rows)
    # An input item, or a step before the last, that is the answer in every row; below 20 rows, or with one answer
    # throughout, agreement may be a coincidence.
    shapes = {(row.items, len(row.steps)) for row in rows if not isinstance(row.input, str)}
    if len(shapes) == 1 and len(rows) >= 20 and len({row.answer_text for row in rows}) >= 2:
        items, steps = next(iter(shapes))
        for column in range(items + steps - 1):
            values = (str([*row.input, *(s.value for s in row.steps)][column]) for row in rows)
            if all(value == row.answer_text for value, row in zip(values, rows, strict=True)):
                found.append(Violation("answer_leak", "every row", f"position {column} is the answer"))
    # The first place of every input; each later place is a violation.
    first: dict[str, tuple[Split, str]] = {}
    for split, members in splits.items():
        for row in members:
            there, place = first.setdefault(json.dumps(row.input), (split, row.place))
            if place != row.place or there != split:
                kind = "duplicate" if there == split else "split_overlap"
                found.append(Violation(kind, row.place, f"same input as {place} ({there})"))
    if tokenizer is not None:
        for row in rows:
            layout = lay_out(row)
            offsets = tokenizer(layout.text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
            # Merged: a piece begins strictly inside the token.
            found += [
                Violation("token_merge", row.place, f"{layout.text[start:end]!r} spans two pieces")
                for start, end in offsets
                if any(start < border < end for border, _ in layout.pieces)
            ]
    return found


def _check_form(row: Row, max_arity: int) -> Iterator[Violation]:
    """Checks one row by itself: its texts, what its steps read, and where its answer occurs."""
    if not row.steps:
        yield Violation("no_steps", row.place, "steps is empty")
        return
    for number, step in enumerate(row.steps):
        here, before = f"{row.place}, step {number}", row.items + number
        if not step.written.strip() or "\n" in step.written or not step.written.isascii():
            yield Violation("broken_text", here, repr(step.written))
        # Positions before a step: the items of the input, then the earlier steps.
        if step.reads is not None:
            later = [read for read in step.reads if not 0 <= read < before]
            if later:
                yield Violation("reads_later", here, f"reads {later}, and only 0 to {before - 1} stand before it")
            if len(set(step.reads)) > max_arity:
                yield Violation("arity", here, f"reads {len(set(step.reads))} items, more than {max_arity}")
    last = row.steps[-1]
    if not isinstance(row.answer, tuple) and str(last.value) != row.answer_text:
        yield Violation("answer_differs", row.place, f"last step {last.value!r}, answer {row.answer!r}")
    texts = [step.text for step in row.steps]
    for number, text in enumerate(texts):
        # Only a text that says more than its value can leak: the bare value of a step may occur anywhere before.
        earlier = [row.input_text, *texts[:number]] if len(text) > len(str(row.steps[number].value)) else []
        if any(text in other for other in earlier if len(text) > 3 and other != text):
            yield Violation("answer_leak", f"{row.place}, step {number}", f"{text!r} stands before its step")
    if re.search(rf"(?:=|answer(?: is)?:?)\s*{re.escape(row.answer_text)}\s*$", row.input_text, re.IGNORECASE):
        yield Violation("answer_leak", row.place, "the input ends in the answer")


def _recompute(row: Row, task: Task | None) -> Iterator[Violation]:
    """Computes every step again: from the task where there is one, else the equations in the text."""
    if task is None:
        for number, step in enumerate(row.steps):
            for equation in wrong_equations(step.written):
                yield Violation("not_recomputable", f"{row.place}, step {number}", equation)
        return
    if row.items != task.inputs or len(row.steps) != task.length:
        yield Violation("not_recomputable", row.place, f"the task has {task.inputs} inputs and {task.length} steps")
        return
    # One row at a time: rows of other shapes were reported above.
    truth = task.labels(np.array([row.input]))[0].tolist()
    for number, (step, value) in enumerate(zip(row.steps, truth, strict=True)):
        if step.value != value:
            yield Violation("not_recomputable", f"{row.place}, step {number}", f"is {step.value!r}, should be {value}")


def _contradictions(rows: Sequence[Row]) -> Iterator[Violation]:
    """Finds steps that are no function of what they read, where all items read are known values."""
    known: dict[tuple[object, ...], tuple[object, str]] = {}
    for row in rows:
        if isinstance(row.input, str):
            continue
        values = [*row.input, *(step.value for step in row.steps)]
        for number, step in enumerate(row.steps):
            if step.reads is None or not all(0 <= read < row.items + number for read in step.reads):
                continue
            # The same step of rows of the same shape, reading the same values, must write the same value.
            key = (row.items, number, step.reads, *(values[read] for read in step.reads))
            value, place = known.setdefault(key, (step.value, row.place))
            if value != step.value:
                both = f"{step.value!r} here, {value!r} in {place}"
                yield Violation("contradiction", f"{row.place}, step {number}", both)


def wrong_equations(text: str) -> list[str]:
    """Finds the equations in a text whose sides differ, in exact arithmetic; what cannot be parsed is skipped.

    Example:
        >>> wrong_equations("so 3 + 4 = 8, then <<8*2=16>>16")
        ['3 + 4 = 8']
    """
    found = []
    # Commas go only where they separate thousands: "1,200 + 300".
    for match in EQUATION.finditer(text.replace(",", "") if re.search(r"\d,\d{3}", text) else text):
        try:
            left = _evaluate(ast.parse(match["left"].strip(), mode="eval").body)
        except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
            continue
        # People round: half a unit of the last decimal is allowed; whole numbers must be exact.
        decimals = len(match["right"].partition(".")[2])
        tolerance = Fraction(1, 2 * 10**decimals) + Fraction(1, 10**12) if decimals else Fraction(1, 10**9)
        if abs(left - Fraction(match["right"])) >= tolerance:
            found.append(match[0].strip())
    return found


def _evaluate(node: ast.expr) -> Fraction:
    # No eval: only numbers and the four operations, as exact fractions (0.1 is 1/10).
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](_evaluate(node.left), _evaluate(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_evaluate(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return Fraction(str(node.value))
    raise ValueError("not arithmetic")
