"""Draws a fitted depth law: the crossings with their errors, the line through them, the published line."""

from __future__ import annotations

import math

from seqtant.architecture.theory import FITTED, Z95
from seqtant.findings import Result, Table
from seqtant.report.figures import COLORS, Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """Transition widths against depth."""
    heights = result.series("log_width")
    depths = [float(each.step or 0) for each in heights]
    errors = {each.group: each.value for each in result.series("log_width_error")}
    a, b = float(result.values["a"] or 0), float(result.values["b"] or 0)
    ends = [min(depths), max(depths)]
    points = {
        "type": "scatter",
        "name": "crossings",
        "x": depths,
        "y": [math.exp(each.value) for each in heights],
        "mode": "markers",
        "marker": {"size": 10, "color": COLORS[0]},
        "error_y": {
            "type": "data",
            "array": [math.exp(each.value) * math.expm1(Z95 * errors.get(each.group, 0.0)) for each in heights],
            "arrayminus": [-math.exp(each.value) * math.expm1(-Z95 * errors.get(each.group, 0.0)) for each in heights],
        },
    }
    fitted = line(ends, [math.exp(a + b * depth) for depth in ends], "fitted line", color=0, mode="lines")
    published = line(
        ends, [FITTED.transition_width(depth) for depth in ends], "paper 8", color=1, dash="dash", mode="lines"
    )
    table = next(table for table in result.tables if table.name == "crossings")
    return [
        Figure(
            name="transition_widths",
            title=f"The transition width grows by {100 * math.expm1(b):.1f} % per layer",
            caption="At each point two neighboring depths are equally good at equal size; bars are 95 % of the "
            "scatter over seeds. The width axis is logarithmic. Below the lines width pays, above them depth.",
            alt=f"Transition width against depth for {len(depths)} pairs of depths, the fitted line "
            f"ln d = {a:.3f} + {b:.4f} L and the published line.",
            data=[points, *fitted, *published],
            layout=axes("depth (layers)", "transition width", yaxis={"type": "log"}),
            table=Table(name="transition_widths", title=table.title, columns=table.columns, rows=table.rows),
        )
    ]
