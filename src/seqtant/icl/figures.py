"""From a result of this room to its figures; each verb draws in a file of its own."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, draw

DRAWINGS: dict[str, str] = {
    "shots": "seqtant.icl.drawings.shots:figures",
    "posterior": "seqtant.icl.drawings.posterior:figures",
    "corrupt": "seqtant.icl.drawings.corrupt:figures",
    "order": "seqtant.icl.drawings.order:figures",
    "ginc-bayes": "seqtant.icl.drawings.ginc:figures",
    "ginc-eval": "seqtant.icl.drawings.ginc:figures",
    "ginc-train": "seqtant.icl.drawings.ginc:figures",
}
"""Verb -> ``module:function`` that turns its result into figures."""


def figures(result: Result) -> list[Figure]:
    """Draws a result of this room; a verb without drawings gives none."""
    return draw(result, DRAWINGS)
