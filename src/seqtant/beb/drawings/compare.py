"""Draws behaviour before and after alignment."""

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
            title="Behaviour before and after alignment"
            if change is None
            else f"Alignment moves the half-way length by {change:+.2f} sentences",
            caption="Behaviour after so many sentences drawn from P-; both models read the same prompts.",
            alt="Two curves of behaviour against prompt length, before and after alignment.",
            data=[
                *drawn(result, "behaviour", "before", group="before"),
                *drawn(result, "behaviour", "after", group="after", color=2),
            ],
            layout=axes("sentences from P-", "behaviour", yaxis={"range": [-1.05, 1.05]}),
            table=table_of(result, "models"),
        )
    ]
