"""From a result of this room to its figures; each verb draws in a file of its own."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, draw

DRAWINGS: dict[str, str] = {
    "plan": "seqtant.architecture.drawings.plan:figures",
    "bounds": "seqtant.architecture.drawings.bounds:figures",
    "match": "seqtant.architecture.drawings.match:figures",
    "rank": "seqtant.architecture.drawings.rank:figures",
    "audit": "seqtant.architecture.drawings.audit:figures",
    "embedding-rank": "seqtant.architecture.drawings.embedding_rank:figures",
    "sweep": "seqtant.architecture.drawings.sweep:figures",
    "fit": "seqtant.architecture.drawings.fit:figures",
}
"""Verb -> ``module:function`` that turns its result into figures."""


def figures(result: Result) -> list[Figure]:
    """Draws a result of this room; a verb without drawings gives none."""
    return draw(result, DRAWINGS)
