"""From a result of this room to its figures; results of one form share a drawing."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, draw

DRAWINGS: dict[str, str] = {
    "pack": "seqtant.pretraining.drawings.packing:figures",
    "build": "seqtant.pretraining.drawings.company:figures",
    "audit": "seqtant.pretraining.drawings.company:figures",
    "bias": "seqtant.pretraining.drawings.gains:figures",
    "epsilon-rank": "seqtant.pretraining.drawings.ranks:figures",
    "deficit": "seqtant.pretraining.drawings.deficits:figures",
    "compose": "seqtant.pretraining.drawings.arms:accuracies",
    "compare-arms": "seqtant.pretraining.drawings.arms:losses",
    "tapt": "seqtant.pretraining.drawings.arms:similarities",
}
"""Verb -> ``module:function`` that turns its result into figures."""


def figures(result: Result) -> list[Figure]:
    """Draws a result of this room; a verb without drawings gives none."""
    return draw(result, DRAWINGS)
