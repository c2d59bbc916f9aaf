"""Reads series back from a result, in the form that lines are drawn from."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result, Table
from seqtant.report.figures import line


def points(result: Result, key: str, group: str | None = None) -> tuple[list[float], list[float]]:
    """Places and values of one quantity, ascending in place."""
    rows = sorted((row.step, row.value) for row in result.series(key, group) if row.step is not None)
    return [step for step, _ in rows], [value for _, value in rows]


def drawn(result: Result, key: str, name: str, *, group: str | None = None, **style: Any) -> list[dict[str, Any]]:
    """One quantity as a line; nothing where it was not recorded."""
    x, y = points(result, key, group)
    return line(x, y, name, **style) if x else []


def table_of(result: Result, name: str) -> Table:
    """A table of the result by name."""
    return next(table for table in result.tables if table.name == name)
