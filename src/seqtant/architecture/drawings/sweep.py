"""Draws a sweep: how much better the deep network is at equal size, by embedding, with intervals and every seed."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result, Table
from seqtant.report.figures import COLORS, Figure, axes


def figures(result: Result) -> list[Figure]:
    """The gaps of all depth pairs."""
    table = next(table for table in result.tables if table.name == "gaps")
    places = [f"{row[0]:.3g}: {row[1]} / {row[2]}, {_kind(str(row[3]))}" for row in table.rows]
    values = [float(row[4] or 0) for row in table.rows]
    seeds = [
        (place, measured.value)
        for place, group in zip(places, dict.fromkeys(m.group for m in result.series("gap")), strict=True)
        for measured in result.series("gap", group)
    ]
    return [
        Figure(
            name="gaps",
            title=_sentence(table),
            caption="Validation loss of the shallow network minus that of the deep one at equal size. Above the line "
            "the deep one is better. Points are seeds, bars Student's 95 % intervals of their mean.",
            alt="Gap between shallow and deep network for each size, pair of depths and embedding: "
            + "; ".join(f"{place}: {value:.3f} nats" for place, value in zip(places, values, strict=True)),
            data=[_means(table, places, values), _seeds(seeds)],
            layout=axes("size, pair and embedding", "shallow minus deep (nats)", yaxis={"zeroline": True}),
            table=Table(name="gaps", title=table.title, columns=table.columns, rows=table.rows),
        )
    ]


def _kind(embedding: str) -> str:
    return f"rank {embedding}" if embedding.isdecimal() else embedding


def _sentence(table: Table) -> str:
    winners = [str(row[-1]) for row in table.rows]
    counts = ", ".join(f"{winners.count(name)} {name}" for name in dict.fromkeys(winners))
    return f"Which depth wins at equal size, in {len(winners)} comparisons: {counts}"


def _means(table: Table, places: list[str], values: list[float]) -> dict[str, Any]:
    high = [float(row[6] or 0) - value for row, value in zip(table.rows, values, strict=True)]
    return {
        "type": "scatter",
        "name": "mean and interval",
        "x": places,
        "y": values,
        "mode": "markers",
        "marker": {"size": 11, "color": COLORS[0]},
        "error_y": {"type": "data", "array": high, "color": COLORS[0]},
    }


def _seeds(points: list[tuple[str, float]]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "name": "seeds",
        "x": [place for place, _ in points],
        "y": [value for _, value in points],
        "mode": "markers",
        "marker": {"size": 6, "color": COLORS[1], "symbol": "circle-open"},
    }
