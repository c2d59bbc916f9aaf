"""Arithmetic problems in words and figures with their steps: rows to try everything on before one's own."""

from __future__ import annotations

import numpy as np

from seqtant.subtasks.rows.problem_rows import Row, RowStep

CHANGES = {"+": ("buys", "finds"), "-": ("sells", "loses")}


def arithmetic_rows(
    count: int, generator: np.random.Generator, *, shortest: int = 2, longest: int = 4, largest: int = 9
) -> list[Row]:
    """Problems whose running total is followed step by step; all inputs differ.

    Args:
        count: How many.
        generator: Source of chance.
        shortest: Fewest changes.
        longest: Most changes.
        largest: Largest single number.

    Example:
        >>> row = arithmetic_rows(1, np.random.default_rng(1))[0]
        >>> row.input, [step.text for step in row.steps], row.answer
        ('start 5 , finds 7 , buys 1 , sells 3', ['5 + 7 = 12', '12 + 1 = 13', '13 - 3 = 10'], 10)
    """
    found: dict[str, Row] = {}
    while len(found) < count:
        row = _row(generator, int(generator.integers(shortest, longest + 1)), largest)
        found[row.input_text] = row
    return list(found.values())


def _row(generator: np.random.Generator, changes: int, largest: int) -> Row:
    total = int(generator.integers(1, largest + 1))
    words, steps = [f"start {total}"], []
    for number in range(changes):
        amount = int(generator.integers(1, largest + 1))
        sign = "-" if total >= amount and generator.random() < 0.5 else "+"
        words.append(f"{CHANGES[sign][int(generator.integers(2))]} {amount}")
        after = total + amount if sign == "+" else total - amount
        steps.append(
            RowStep(text=f"{total} {sign} {amount} = {after}", value=after, reads=(0, number) if number else (0,))
        )
        total = after
    return Row(input=" , ".join(words), steps=tuple(steps), answer=total)
