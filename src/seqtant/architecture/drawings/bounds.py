"""Draws the bounds against depth: double-exponential growth below the transition, linear growth above it."""

from __future__ import annotations

from seqtant.findings import Cell, Result, Table
from seqtant.report.figures import Figure, axes, line

_SERIES = {
    "two_token": "one vector per half (exact)",
    "many_token": "many vectors per half",
    "lower": "best lower bound",
    "upper": "best stated upper bound",
}


def figures(result: Result) -> list[Figure]:
    """The bounds by depth, with the transition marked."""
    depths = [row.step or 0.0 for row in result.series("lower")]
    curves = {key: [row.value for row in result.series(key)] for key in _SERIES}
    transition, width = float(result.values["transition_depth"] or 0), result.values["effective_width"]
    # A logarithmic axis has no place for bounds of 0, which say nothing.
    data = [
        trace
        for color, (key, name) in enumerate(_SERIES.items())
        for trace in line(
            *_above_zero(depths, curves[key]), name, color=color, mode="lines", dash="dash" if color > 1 else "solid"
        )
    ]
    layout = axes("depth (layers)", "log3 of the separation rank", yaxis={"type": "log"})
    layout["shapes"] = [
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "x0": transition,
            "x1": transition,
            "y0": 0,
            "y1": 1,
            "line": {"dash": "dot", "width": 1},
        }
    ]
    rows: list[tuple[Cell, ...]] = [
        (depth, *(curves[key][index] for key in _SERIES)) for index, depth in enumerate(depths)
    ]
    return [
        Figure(
            name="bounds_by_depth",
            title=f"Depth stops being worth more than width at about {transition:.1f} layers",
            caption="Dotted: the transition log_3(width). Below it the logarithm triples with every layer; "
            "above it, it grows by the same amount with every layer. A bound that says nothing is left out.",
            alt=f"Logarithm of the separation rank against depth for effective width {width}: two exact curves between "
            f"a lower and an upper bound, with the transition at depth {transition:.2f}.",
            data=data,
            layout=layout,
            table=Table(
                name="bounds_by_depth",
                title="log3 of the separation rank by depth",
                columns=("depth", *_SERIES.values()),
                rows=tuple(rows),
            ),
        )
    ]


def _above_zero(x: list[float], y: list[float]) -> tuple[list[float], list[float]]:
    kept = [(place, value) for place, value in zip(x, y, strict=True) if value > 0]
    return [place for place, _ in kept], [value for _, value in kept]
