"""From a result of this room to its figures; each kind of drawing has a file of its own."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, draw

DRAWINGS: dict[str, str] = {
    "bound": "seqtant.beb.drawings:bound",
    "measure": "seqtant.beb.drawings:measure",
    "calibrate": "seqtant.beb.drawings:measure",
    "curve": "seqtant.beb.drawings:curve",
    "guard": "seqtant.beb.drawings:guard",
    "converse": "seqtant.beb.drawings:converse",
    "compare": "seqtant.beb.drawings:compare",
    "refit": "seqtant.beb.drawings:refit",
}
"""Verb -> ``module:function`` that turns its result into figures."""


def figures(result: Result) -> list[Figure]:
    """Draws a result of this room; a verb without drawings gives none."""
    return draw(result, DRAWINGS)
