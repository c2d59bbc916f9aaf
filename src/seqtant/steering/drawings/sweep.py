"""Draws a sweep: alignment and helpfulness against the strength, and the one against the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqtant.findings import Result
from seqtant.report.figures import COLORS, Figure, axes, line
from seqtant.steering.drawings.series import banded, points, table_of


def figures(result: Result) -> list[Figure]:
    """The S, the bell, and the trade-off."""
    strengths, alignment = points(result, "alignment")
    _, helpfulness = points(result, "helpfulness")
    table = table_of(result, "tradeoff")
    return [
        Figure(
            name="curves",
            title=f"Alignment runs from {min(alignment):.2f} to {max(alignment):.2f} while helpfulness falls from "
            f"{max(helpfulness):.2f} to {min(helpfulness):.2f}",
            caption="Alignment (good minus bad over good plus bad replies) and helpfulness (right answers) at every "
            "strength; bands are 95 % intervals over prompts and items, dashes the fitted S.",
            alt=f"Alignment and helpfulness at {len(strengths)} strengths from {strengths[0]:.3g} to "
            f"{strengths[-1]:.3g}.",
            data=[
                *banded(result, "alignment", "alignment", color=0),
                *banded(result, "helpfulness", "helpfulness", color=1),
                *_fitted(result, strengths),
            ],
            layout=axes("strength (length in the hidden space)", "score"),
            table=table,
        ),
        Figure(
            name="tradeoff",
            title="What alignment costs in helpfulness",
            caption="Every point is one strength; its label tells which. Up and to the right is better.",
            alt=f"Helpfulness against alignment at {len(strengths)} strengths.",
            data=[_against(strengths, alignment, helpfulness)],
            layout=axes("alignment", "helpfulness"),
            table=table,
        ),
    ]


def _fitted(result: Result, strengths: list[float]) -> list[dict[str, Any]]:
    values = result.values
    slope, offset = values.get("tanh_slope"), values.get("tanh_offset")
    if slope is None or offset is None:
        return []
    x = np.linspace(strengths[0], strengths[-1], 81)
    curve = np.tanh(slope * x + offset)
    return line(x.tolist(), curve.tolist(), "fitted S", color=0, dash="dash", mode="lines")


def _against(strengths: list[float], alignment: list[float], helpfulness: list[float]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "name": "strengths",
        "x": alignment,
        "y": helpfulness,
        "mode": "lines+markers",
        "text": [f"strength {value:.3g}" for value in strengths],
        "line": {"color": COLORS[0]},
    }
