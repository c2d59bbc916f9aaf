"""Reads measured series back from a result, in the form that lines are drawn from."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result, Table
from seqtant.report.figures import line


def points(result: Result, key: str) -> tuple[list[float], list[float]]:
    """Places and values of one quantity, ascending in place."""
    rows = sorted((row.step or 0.0, row.value) for row in result.series(key))
    return [step for step, _ in rows], [value for _, value in rows]


def banded(result: Result, key: str, name: str, *, color: int = 0, **style: Any) -> list[dict[str, Any]]:
    """A line with its interval where one was measured at every place."""
    x, y = points(result, key)
    low, high = points(result, f"{key}_low")[1], points(result, f"{key}_high")[1]
    whole = len(low) == len(high) == len(y)
    return line(x, y, name, color=color, low=low if whole else None, high=high if whole else None, **style)


def table_of(result: Result, name: str) -> Table:
    """A table of the result by name."""
    return next(table for table in result.tables if table.name == name)
