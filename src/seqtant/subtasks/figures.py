"""From a result of this room to its figures; each verb draws in a file of its own."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, draw

DRAWINGS: dict[str, str] = {
    "compare": "seqtant.subtasks.drawings.compare:figures",
    "eval": "seqtant.subtasks.drawings.steps:figures",
    "train": "seqtant.subtasks.drawings.steps:figures",
    "probe": "seqtant.subtasks.drawings.probe:figures",
}
"""Verb -> ``module:function`` that turns its result into figures."""


def figures(result: Result) -> list[Figure]:
    """Draws a result of this room; a verb without drawings gives none."""
    return draw(result, DRAWINGS)
