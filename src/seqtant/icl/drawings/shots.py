"""Draws what shots give: accuracy by number of shots, and predicted beside measured shots."""

from __future__ import annotations

import math
from typing import Any

from seqtant.findings import Result
from seqtant.icl.drawings.series import groups, points, table_of
from seqtant.report.figures import COLORS, Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """The curves, and the comparison."""
    names = groups(result, "accuracy")
    curves: list[dict[str, Any]] = []
    for color, name in enumerate(names):
        x, y = points(result, "loss", name)
        error = points(result, "loss_error", name)[1]
        low, high = ([a + sign * 1.96 * b for a, b in zip(y, error, strict=True)] for sign in (-1, 1))
        curves += line(x, y, name, color=color, low=low, high=high)
        x, y = points(result, "predicted_loss", name)
        curves += line(x[1:], y[1:], f"{name}, predicted", color=color, dash="dot", mode="lines")
    values = result.values
    pairs = [(name, values.get(f"predicted_shots_{name}"), values.get(f"measured_shots_{name}")) for name in names]
    known = [(n, p, m) for n, p, m in pairs if p and m and math.isfinite(p) and math.isfinite(m)]
    drawn = [
        Figure(
            name="losses",
            title="Accuracy that is missing to knowing the task, by number of shots",
            caption="Lines are measured in prompts, with 95 % intervals over prompts; dots are predicted from single "
            "examples by theory.",
            alt=f"Loss of accuracy against shots for {len(names)} tasks, measured and predicted.",
            data=curves,
            layout=axes("shots", "accuracy missing", yaxis={"range": [-0.1, 1]}),
            table=table_of(result, "shots"),
        )
    ]
    return [*drawn, _compared(result, known)] if known else drawn


def _compared(result: Result, known: list[tuple[str, float, float]]) -> Figure:
    most = max(max(predicted, measured) for _, predicted, measured in known) * 1.2
    places: dict[tuple[float, float], list[str]] = {}
    for name, predicted, measured in known:
        places.setdefault((predicted, measured), []).append(name)
    marks = {
        "type": "scatter",
        "mode": "markers+text",
        "name": "tasks",
        "x": [predicted for predicted, _ in places],
        "y": [measured for _, measured in places],
        "text": [", ".join(names) for names in places.values()],
        "textposition": "middle right",
        "marker": {"color": COLORS[0], "size": 9},
    }
    wings = [
        *line([0, most], [0, most * 1.5], "factor 1.5", color=6, dash="dot", mode="lines"),
        *line([0, most], [0, most / 1.5], "factor 1/1.5", color=6, dash="dot", mode="lines"),
    ]
    return Figure(
        name="predicted_measured",
        title="Predicted and measured shots",
        caption="One mark per task; between the dotted lines both agree within a factor 1.5.",
        alt=f"Measured against predicted shots of {len(known)} tasks.",
        data=[*wings, marks],
        layout=axes("predicted shots", "measured shots", xaxis={"range": [0, most]}, yaxis={"range": [0, most]}),
        table=table_of(result, "shots"),
    )
