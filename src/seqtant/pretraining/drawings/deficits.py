"""Draws the layers lost between examples against the length of the step."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """One line."""
    rows = result.series("depth_deficit")
    return [
        Figure(
            name="deficit",
            title="Smaller steps lose more layers",
            caption="Layers that the derived bound takes from a network for dependencies between texts in different "
            "examples, against the step in units of the radius in which the network is analytic.",
            alt="Layers lost by step: " + ", ".join(f"{row.step:g}: {row.value:.2f}" for row in rows),
            data=line([row.step or 0.0 for row in rows], [row.value for row in rows], "layers lost"),
            layout=axes("step", "layers lost", xaxis={"type": "log"}),
            table=next(table for table in result.tables if table.name == "steps"),
        )
    ]
