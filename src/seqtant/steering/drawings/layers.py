"""Draws a comparison of layers: what each gains before the budget is spent."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, axes
from seqtant.steering.drawings.series import banded, points, table_of


def figures(result: Result) -> list[Figure]:
    """The gain of every block."""
    blocks, gains = points(result, "gain")
    best = result.values["best_layer"]
    return [
        Figure(
            name="gains",
            title=f"Steering gains most in block {best}",
            caption="Predicted change of alignment when helpfulness has lost the budget, steering one block alone; "
            "bands are 95 % intervals over helpfulness items.",
            alt="Gain of alignment by block: "
            + ", ".join(f"{block:.0f}: {gain:.3f}" for block, gain in zip(blocks, gains, strict=True)),
            data=banded(result, "gain", "gain"),
            layout=axes("block", "change of alignment at the budget"),
            table=table_of(result, "layers"),
        )
    ]
