"""Draws a comparison: learning curves, updates to 90 % with the runs that never got there, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqtant.findings import Measurement, Result, Table
from seqtant.report.figures import COLORS, Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """Curves, times, and steps where they were watched."""
    arms = list(dict.fromkeys(row.group for row in result.series("answer")))
    if not arms:
        return []
    drawn = [_curves(result, arms), _times(result, arms)]
    return drawn + ([_steps(result)] if result.series("step_accuracy") else [])


def _by_update(rows: list[Measurement]) -> tuple[list[float], np.ndarray]:
    """Updates, and the values of all seeds at each, (updates, seeds)."""
    updates = sorted({row.step or 0.0 for row in rows})
    return updates, np.array([[row.value for row in rows if row.step == update] for update in updates])


def _curves(result: Result, arms: list[str]) -> Figure:
    data: list[dict[str, Any]] = []
    cells: list[tuple[str, float, float, float, float]] = []
    for color, arm in enumerate(arms):
        updates, values = _by_update(result.series("answer", arm))
        mean, low, high = values.mean(axis=1), values.min(axis=1), values.max(axis=1)
        data += line(updates, mean.tolist(), arm, color=color, low=low.tolist(), high=high.tolist(), mode="lines")
        cells += [(arm, *each) for each in zip(updates, mean.tolist(), low.tolist(), high.tolist(), strict=True)]
    seeds = len({row.seed for row in result.series("answer")})
    return Figure(
        name="curves",
        title="Right answers while learning, on the network's own steps",
        caption=f"Mean over seeds ({seeds}) on validation inputs; bands from the worst to the best seed.",
        alt=f"Share of right answers against updates for {', '.join(arms)}.",
        data=data,
        layout=axes("updates", "right answers", yaxis={"range": [0, 1.03]}),
        table=Table(
            name="curves",
            title="Learning curves",
            columns=("arm", "updates", "mean", "worst", "best"),
            rows=tuple(cells),
        ),
    )


def _times(result: Result, arms: list[str]) -> Figure:
    data: list[dict[str, Any]] = []
    cells: list[tuple[str, int, float, bool]] = []
    for color, arm in enumerate(arms):
        for key, symbol, name in (
            ("updates_to_90", "circle", "reached"),
            ("censored_at", "triangle-right-open", "not yet"),
        ):
            rows = result.series(key, arm)
            if not rows:
                continue
            cells += [(arm, row.seed or 0, row.value, key == "updates_to_90") for row in rows]
            data.append(
                {
                    "type": "scatter",
                    "name": f"{arm}, {name}",
                    "x": [row.value for row in rows],
                    "y": [arm for _ in rows],
                    "mode": "markers",
                    "marker": {"size": 13, "symbol": symbol, "color": COLORS[color % len(COLORS)]},
                }
            )
    reached = sum(cell[3] for cell in cells)
    return Figure(
        name="times",
        title=f"{reached} of {len(cells)} runs reach 90 % within the budget",
        caption="One mark per seed. A dot is the first look with 90 % of the answers right; an open triangle is a "
        "run that had not got there when its updates were spent: its time is longer than shown.",
        alt=f"Updates to 90 % right answers for {', '.join(arms)}, with runs that did not reach it marked.",
        data=data,
        layout=axes("updates to 90 % right answers", "", xaxis={"rangemode": "tozero"}, yaxis={"type": "category"}),
        table=Table(
            name="times", title="Updates to 90 %", columns=("arm", "seed", "updates", "reached"), rows=tuple(cells)
        ),
    )


def _steps(result: Result) -> Figure:
    steps = list(dict.fromkeys(row.group for row in result.series("step_accuracy")))
    data: list[dict[str, Any]] = []
    cells: list[tuple[str, float, float]] = []
    for step in steps:
        rows = result.series("step_accuracy", step)
        updates, values = [row.step or 0.0 for row in rows], [row.value for row in rows]
        data += line(updates, values, f"step {step}", color=int(step), mode="lines")
        cells += list(zip([step] * len(rows), updates, values, strict=True))
    return Figure(
        name="steps",
        title="Steps are found one by one; the answer waits for the last of them",
        caption="Accuracy of each step given the true earlier ones, first seed.",
        alt=f"Accuracy of {len(steps)} steps against updates.",
        data=data,
        layout=axes("updates", "accuracy given true steps", yaxis={"range": [0, 1.03]}),
        table=Table(
            name="step_curves", title="Accuracy per step", columns=("step", "updates", "accuracy"), rows=tuple(cells)
        ),
    )
