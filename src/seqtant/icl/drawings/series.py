"""Reads measured series back from a result, in the form that lines are drawn from."""

from __future__ import annotations

from seqtant.findings import Result, Table


def points(result: Result, key: str, group: str) -> tuple[list[float], list[float]]:
    """Places and values of one quantity, ascending in place."""
    rows = sorted((row.step or 0.0, row.value) for row in result.series(key, group))
    return [step for step, _ in rows], [value for _, value in rows]


def groups(result: Result, key: str) -> list[str]:
    """Groups of one quantity, in order of appearance."""
    return list(dict.fromkeys(row.group for row in result.series(key)))


def table_of(result: Result, name: str) -> Table:
    """A table of the result by name."""
    return next(table for table in result.tables if table.name == name)
