"""From a result of this room to its figures; results of one form share a drawing."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, draw

DRAWINGS: dict[str, str] = {
    "pack": "seqtant.pretraining.drawings:packing",
    "build": "seqtant.pretraining.drawings:similarity_by_distance",
    "audit": "seqtant.pretraining.drawings:similarity_by_distance",
    "bias": "seqtant.pretraining.drawings:gains",
    "epsilon-rank": "seqtant.pretraining.drawings:ranks",
    "deficit": "seqtant.pretraining.drawings:deficits",
    "compose": "seqtant.pretraining.drawings:arms",
    "compare-arms": "seqtant.pretraining.drawings:arms",
    "tapt": "seqtant.pretraining.drawings:arms",
}
"""Verb -> ``module:function`` that turns its result into figures."""


def figures(result: Result) -> list[Figure]:
    """Draws a result of this room; a verb without drawings gives none."""
    return draw(result, DRAWINGS)
