"""Draws the strategies of packing: how full the windows are, and how many documents were cut for it."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import COLORS, Figure, axes


def figures(result: Result) -> list[Figure]:
    """One point per strategy: fill against documents cut."""
    table = next(table for table in result.tables if table.name == "strategies")
    names = [str(row[0]) for row in table.rows]
    fill, cut = [row[2] for row in table.rows], [row[4] for row in table.rows]
    return [
        Figure(
            name="packing",
            title="Full windows against whole documents",
            caption="Up is fuller, left is fewer documents cut: the upper left corner is best.",
            alt="Fill against documents cut: "
            + ", ".join(f"{n} {f}, {c}" for n, f, c in zip(names, fill, cut, strict=True)),
            data=[
                {
                    "type": "scatter",
                    "name": name,
                    "x": [cuts],
                    "y": [share],
                    "mode": "markers+text",
                    "text": [name],
                    "textposition": "top center",
                    "marker": {"size": 14, "color": COLORS[index]},
                }
                for index, (name, share, cuts) in enumerate(zip(names, fill, cut, strict=True))
            ],
            layout=axes("documents cut", "fill", showlegend=False),
            table=table,
        )
    ]
