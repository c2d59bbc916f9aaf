"""From a result of this room to its figures."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, draw

DRAWINGS: dict[str, str] = {
    "compare": "seqtant.subtasks.drawings:compare",
    "eval": "seqtant.subtasks.drawings:evaluation",
    "train": "seqtant.subtasks.drawings:evaluation",
    "probe": "seqtant.subtasks.drawings:probe",
}
"""Verb -> ``module:function`` that turns its result into figures."""


def figures(result: Result) -> list[Figure]:
    """Draws a result of this room; a verb without drawings gives none."""
    return draw(result, DRAWINGS)
