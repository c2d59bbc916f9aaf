"""Draws how alike the segments of one example are, by their distance, arm by arm."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """One line per arm."""
    rows = result.series("similarity")
    arms = list(dict.fromkeys(row.group for row in rows))
    if not arms:
        return []
    series = {arm: [row for row in rows if row.group == arm] for arm in arms}
    return [
        Figure(
            name="similarity",
            title="How alike segments of one example are",
            caption="Mean cosine similarity of all pairs of segments so far apart, over every example. An arm of "
            "related text should lie above random, and random near split.",
            alt="Mean similarity against distance: "
            + "; ".join(f"{arm} {own[0].value:.3f} at distance 1" for arm, own in series.items()),
            data=[
                trace
                for color, (arm, own) in enumerate(series.items())
                for trace in line([row.step or 0.0 for row in own], [row.value for row in own], arm, color=color)
            ],
            layout=axes("distance in segments", "mean cosine similarity", xaxis={"dtick": 1}),
            table=next(table for table in result.tables if table.name == "similarity"),
        )
    ]
