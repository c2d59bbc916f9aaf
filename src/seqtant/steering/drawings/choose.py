"""Draws a choice: the loss on fitting and held-out items, the fitted law, the budget and the chosen strength."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqtant.findings import Result
from seqtant.report.figures import COLORS, Figure, axes, line
from seqtant.steering.drawings.series import points, table_of


def figures(result: Result) -> list[Figure]:
    """The loss against the strength."""
    values = result.values
    strength, budget = float(values["strength"] or 0), float(result.config["budget"])
    losses = [
        trace
        for color, (key, name) in enumerate((("fitting", "fitting items"), ("held_out", "held-out items")))
        for trace in line(*_loss(result, f"{key}_helpfulness"), name, color=color, mode="markers")
    ]
    return [
        Figure(
            name="loss",
            title=f"Strength {strength:.4g} for a budget of {100 * budget:g} %: held-out items lose "
            f"{100 * float(values['measured_loss'] or 0):.2f} %",
            caption="Relative loss of helpfulness. The curve was fitted to small strengths of the fitting items; the "
            "vertical line is the chosen strength, the horizontal one the budget.",
            alt=f"Loss of helpfulness against the strength; the budget is spent at about {strength:.4g}.",
            data=[*losses, *_law(result, strength), *_marks(strength, budget)],
            layout=axes("strength (length in the hidden space)", "loss", yaxis={"tickformat": ".1%"}),
            table=table_of(result, "held_out"),
        )
    ]


def _loss(result: Result, key: str) -> tuple[list[float], list[float]]:
    x, y = points(result, key)
    base = y[x.index(0.0)]
    return x, [1 - value / base for value in y]


def _law(result: Result, strength: float) -> list[dict[str, Any]]:
    linear, quadratic = float(result.values["linear"] or 0), float(result.values["quadratic"] or 0)
    x = np.linspace(-1.25 * abs(strength), 1.25 * abs(strength), 81)
    loss = -np.expm1(linear * x + quadratic * x**2)
    return line(x.tolist(), loss.tolist(), "fitted law", color=2, mode="lines")


def _marks(strength: float, budget: float) -> list[dict[str, Any]]:
    reach = 1.25 * abs(strength)
    lines = (
        ("budget", [-reach, reach], [budget, budget]),
        ("chosen strength", [strength, strength], [0.0, 2 * budget]),
    )
    return [
        {
            "type": "scatter",
            "name": name,
            "x": x,
            "y": y,
            "mode": "lines",
            "line": {"color": COLORS[3], "dash": "dot"},
        }
        for name, x, y in lines
    ]
