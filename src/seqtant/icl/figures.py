"""From a result of this room to its figures; each verb draws in a file of its own."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, draw

DRAWINGS: dict[str, str] = {
    "shots": "seqtant.icl.drawings:draw_shots",
    "posterior": "seqtant.icl.drawings:draw_posterior",
    "corrupt": "seqtant.icl.drawings:draw_corrupt",
    "order": "seqtant.icl.drawings:draw_order",
    "ginc-bayes": "seqtant.icl.drawings:draw_ginc",
    "ginc-eval": "seqtant.icl.drawings:draw_ginc",
    "ginc-train": "seqtant.icl.drawings:draw_ginc",
}
"""Verb -> ``module:function`` that turns its result into figures."""


def figures(result: Result) -> list[Figure]:
    """Draws a result of this room; a verb without drawings gives none."""
    return draw(result, DRAWINGS)
