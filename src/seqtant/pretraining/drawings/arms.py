"""Draws arms beside each other: every seed a point."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Measurement, Result
from seqtant.report.figures import COLORS, Figure, axes


def accuracies(result: Result) -> list[Figure]:
    """Joined facts answered right, by arm and seed."""
    chance = 1 / int(result.config["values"])
    level = {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": chance, "y1": chance, "line": {"dash": "dot"}}
    return [
        _points(
            result,
            "held_out_accuracy",
            table="accuracy",
            title="Joined facts that were never shown",
            caption=f"Share answered right, one point per seed; the dotted line is chance, {chance:g}.",
            unit="share right",
            shapes=[level],
        )
    ]


def losses(result: Result) -> list[Figure]:
    """Losses after neighbors, by arm and seed."""
    return [
        _points(
            result,
            key,
            table="losses",
            title=f"Loss on held-out text: {key}",
            caption="One point per seed; lower is better. The same held-out text for every arm.",
            unit="nats per token",
        )
        for key in ("after neighbors", "running text")
    ]


def similarities(result: Result) -> list[Figure]:
    """Rank correlation of sentence similarity, by arm."""
    return [
        _points(
            result,
            "spearman",
            table="similarity",
            title="Sentence similarity from averaged token embeddings",
            caption="Spearman correlation with the scores; higher is better. Intervals are in the table.",
            unit="Spearman correlation",
        )
    ]


def _points(result: Result, key: str, *, table: str, title: str, caption: str, unit: str, **layout: Any) -> Figure:
    rows = result.series(key)
    arms = list(dict.fromkeys(row.group for row in rows))
    own: dict[str, list[Measurement]] = {arm: [row for row in rows if row.group == arm] for arm in arms}
    means = {arm: sum(row.value for row in each) / len(each) for arm, each in own.items()}
    return Figure(
        name=key.replace(" ", "_"),
        title=title,
        caption=caption,
        alt=f"{title}: " + ", ".join(f"{arm} {value:.3f}" for arm, value in means.items()),
        data=[
            {
                "type": "scatter",
                "name": arm,
                "x": [arm] * len(each),
                "y": [row.value for row in each],
                "mode": "markers",
                "marker": {"size": 11, "color": COLORS[color % len(COLORS)], "opacity": 0.8},
            }
            for color, (arm, each) in enumerate(own.items())
        ],
        layout=axes("arm", unit, showlegend=False, **layout),
        table=next(each for each in result.tables if each.name == table),
    )
