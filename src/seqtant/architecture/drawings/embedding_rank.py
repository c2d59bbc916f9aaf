"""Draws the spectrum of a trained input embedding: how fast its singular values fall, and where its ranks lie."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Cell, Result, Table
from seqtant.report.figures import Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """One figure: singular values of each table, over the largest."""
    groups = list(dict.fromkeys(row.group for row in result.measurements if row.key == "singular_value"))
    data: list[dict[str, Any]] = []
    rows: list[tuple[Cell, ...]] = []
    for color, group in enumerate(groups):
        curve = result.series("singular_value", group)
        largest = max(row.value for row in curve) or 1.0
        index = [float(row.step or 0) for row in curve]
        share = [row.value / largest for row in curve]
        data += line(index, share, group, color=color, mode="lines")
        rows += [(group, int(i), s) for i, s in zip(index, share, strict=True)]
    fine, possible = result.values["effective_width"], result.values["input_rank"]
    return [
        Figure(
            name="spectrum",
            title=f"{fine} of {possible} directions hold 99.9 % of what tells tokens apart",
            caption="Singular values over the largest, from the largest down. A flat curve uses every direction alike; "
            "a steep one uses few. Centered: less the mean row, which all tokens share.",
            alt=f"Falling curves of normalized singular values by index for {', '.join(groups)}.",
            data=data,
            layout=axes("direction", "singular value over the largest", yaxis={"type": "log"}),
            table=Table(
                name="spectrum",
                title="Points drawn",
                columns=("table", "direction", "over the largest"),
                rows=tuple(rows),
            ),
        )
    ]
