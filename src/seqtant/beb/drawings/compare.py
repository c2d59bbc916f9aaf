"""Draws behavior before and after alignment."""

from __future__ import annotations

from seqtant.beb.drawings.series import drawn, table_of
from seqtant.findings import Result
from seqtant.report.figures import Figure, axes


def figures(result: Result) -> list[Figure]:
    """Two curves on the same prompts."""
    change = result.values.get("halfway_change")
    return [
        Figure(
            name="alignment",
            title="Behavior before and after alignment"
            if change is None
            else f"Alignment moves the half-way length by {change:+.2f} sentences",
            caption="Behavior after so many sentences drawn from P-; both models read the same prompts.",
            alt="Two curves of behavior against prompt length, before and after alignment.",
            data=[
                *drawn(result, "behavior", "before", group="before"),
                *drawn(result, "behavior", "after", group="after", color=2),
            ],
            layout=axes("sentences from P-", "behavior", yaxis={"range": [-1.05, 1.05]}),
            table=table_of(result, "models"),
        )
    ]
