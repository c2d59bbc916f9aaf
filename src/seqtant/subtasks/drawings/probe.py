"""Draws a probe: signal of every step and of the whole task beside the theorem's bound."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result
from seqtant.report.figures import COLORS, Figure, axes


def figures(result: Result) -> list[Figure]:
    """Signal, bound and noise of every target."""
    series = {key: result.series(key) for key in ("signal", "bound", "noise")}
    names = [row.group for row in series["signal"]]
    if not names:
        return []
    marks: list[dict[str, Any]] = []
    for color, (key, rows) in enumerate(series.items()):
        shown = [(row.group, row.value) for row in rows if row.value > 0]
        marks.append(
            {
                "type": "scatter",
                "name": key,
                "x": [name for name, _ in shown],
                "y": [value for _, value in shown],
                "mode": "markers",
                "marker": {"size": 10, "color": COLORS[color], "symbol": ("circle", "line-ew-open", "x")[color]},
            }
        )
    weakest = min(row.value for row in series["signal"] if row.group != "whole")
    whole = next(row.value for row in series["signal"] if row.group == "whole")
    told = f"{weakest / whole:.0f} times" if whole > 0 else "beyond measure"
    return [
        Figure(
            name="signals",
            title=f"The weakest step is {told} easier to see than the whole task",
            caption="Variance of the fresh gradient from target to target (signal), the theorem's bound on it, and "
            "its variance from input to input (noise), over all weights. A signal that is not shown was not above 0.",
            alt=f"Gradient signal, bound and noise of {len(names) - 1} steps and the whole task, logarithmic.",
            data=marks,
            layout=axes("step", "variance", yaxis={"type": "log"}, xaxis={"type": "category"}),
            table=next(table for table in result.tables if table.name == "signals"),
        )
    ]
