"""Draws the accuracy of every order of one set of examples per task."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.icl.drawings.series import groups, points, table_of
from seqtant.report.figures import COLORS, Figure, axes


def figures(result: Result) -> list[Figure]:
    """One column of marks per task."""
    names = groups(result, "accuracy")
    data = [
        {
            "type": "box",
            "name": name,
            "y": points(result, "accuracy", name)[1],
            "boxpoints": "all",
            "marker": {"color": COLORS[color % len(COLORS)]},
        }
        for color, name in enumerate(names)
    ]
    return [
        Figure(
            name="orders",
            title="Accuracy of every order of the same examples",
            caption="One mark per order of the first set of examples of each task.",
            alt=f"Spread of accuracy over orders for {len(names)} tasks.",
            data=data,
            layout=axes("task", "accuracy", yaxis={"range": [-0.02, 1.02]}),
            table=table_of(result, "orders"),
        )
    ]
