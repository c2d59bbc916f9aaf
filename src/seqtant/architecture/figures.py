"""From a result of this room to its figures; every verb has a function in ``drawings.py``."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, draw

DRAWINGS: dict[str, str] = {
    "plan": "seqtant.architecture.drawings:plan",
    "bounds": "seqtant.architecture.drawings:bounds",
    "match": "seqtant.architecture.drawings:match",
    "rank": "seqtant.architecture.drawings:rank",
    "audit": "seqtant.architecture.drawings:audit",
    "embedding-rank": "seqtant.architecture.drawings:embedding_rank",
    "sweep": "seqtant.architecture.drawings:sweep",
    "fit": "seqtant.architecture.drawings:fit",
}
"""Verb -> ``module:function`` that turns its result into figures."""


def figures(result: Result) -> list[Figure]:
    """Draws a result of this room; a verb without drawings gives none."""
    return draw(result, DRAWINGS)
