"""Draws conversations: behavior and the weight of P- turn by turn."""

from __future__ import annotations

from seqtant.beb.drawings.series import drawn, points, table_of
from seqtant.findings import Result
from seqtant.report.figures import Figure, axes


def figures(result: Result) -> list[Figure]:
    """Behavior and weight against turns."""
    half = result.values.get("turns_halfway")
    y = points(result, "behavior")[1]
    return [
        Figure(
            name="turns",
            title="Half of the way is not gone within the turns"
            if half is None
            else f"Half of the way is gone after {half:.1f} turns",
            caption="Behavior after the user's part of each turn, and the mean posterior weight of P-.",
            alt=f"Behavior goes from {y[0]:.2f} to {y[-1]:.2f} over {len(y) - 1} turns.",
            data=[*drawn(result, "behavior", "behavior"), *drawn(result, "bad_weight", "weight of P-", color=3)],
            layout=axes("turns", "behavior, weight", yaxis={"range": [-1.05, 1.05]}),
            table=table_of(result, "turns"),
        )
    ]
