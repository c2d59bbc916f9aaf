"""From a result of this room to its figures; the functions of ``drawings`` by verb."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, draw

DRAWINGS: dict[str, str] = {
    "train": "seqtant.steering.drawings:draw_train",
    "sweep": "seqtant.steering.drawings:draw_sweep",
    "choose": "seqtant.steering.drawings:draw_choose",
    "diagnose": "seqtant.steering.drawings:draw_diagnose",
    "layers": "seqtant.steering.drawings:draw_layers",
}
"""Verb -> ``module:function`` that turns its result into figures."""


def figures(result: Result) -> list[Figure]:
    """Draws a result of this room; a verb without drawings gives none."""
    return draw(result, DRAWINGS)
