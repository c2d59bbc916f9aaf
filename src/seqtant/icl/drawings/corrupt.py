"""Draws what spoiled examples leave of accuracy, and the flip law beside measured slopes."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.icl.drawings.series import table_of
from seqtant.report.figures import COLORS, Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """Bars of accuracy, and slopes against the law."""
    rows = result.series("accuracy")
    ends = [[row.value for row in result.series(f"accuracy_{end}")] for end in ("low", "high")]
    bars = {
        "type": "bar",
        "name": "accuracy",
        "x": [row.group for row in rows],
        "y": [row.value for row in rows],
        "marker": {"color": COLORS[0]},
        "error_y": {
            "type": "data",
            "array": [high - row.value for row, high in zip(rows, ends[1], strict=True)],
            "arrayminus": [row.value - low for row, low in zip(rows, ends[0], strict=True)],
        },
    }
    drawn = [
        Figure(
            name="variants",
            title="What spoiled examples leave of accuracy",
            caption="Accuracy on clean queries after examples of each kind, all tasks together; 95 % intervals.",
            alt=f"Accuracy after {len(rows)} kinds of examples.",
            data=[bars],
            layout=axes("examples", "accuracy", yaxis={"range": [0, 1]}),
            table=table_of(result, "variants"),
        )
    ]
    law = {row.group: row.value for row in result.series("slope_law")}
    measured = {row.group: row.value for row in result.series("slope")}
    if not law:
        return drawn
    low, high = min(*law.values(), *measured.values()), max(*law.values(), *measured.values())
    marks = {
        "type": "scatter",
        "mode": "markers",
        "name": "task and kind",
        "x": [law[name] for name in law],
        "y": [measured[name] for name in law],
        "text": list(law),
        "marker": {"color": COLORS[0]},
    }
    return [
        *drawn,
        Figure(
            name="flip_law",
            title="Evidence per shot: the flip law and the measurement",
            caption="Log-odds per shot against the nearest rival; on the dashed line both agree. Below zero a prompt "
            "argues for the wrong task.",
            alt=f"Measured against predicted slopes of {len(law)} tasks and kinds of examples.",
            data=[*line([low, high], [low, high], "equal", color=6, dash="dash", mode="lines"), marks],
            layout=axes("predicted, nats per shot", "measured, nats per shot"),
            table=table_of(result, "slopes"),
        ),
    ]
