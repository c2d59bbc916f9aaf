"""Draws a plan: the depth law with its band and the candidates on it, and where other rules put the depth."""

from __future__ import annotations

import math
from typing import Any

from seqtant.architecture.planning.planning import resolution
from seqtant.architecture.planning.rules_of_thumb import BUILT, LAW, RULES, Rule
from seqtant.architecture.theory import optimal_depth
from seqtant.boundary import size_text
from seqtant.findings import Cell, Result, Table
from seqtant.report.figures import COLORS, Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """The law with the plan on it, and the rules of practice."""
    return [_law(result), _rules(result)]


def _law(result: Result) -> Figure:
    size, best = float(result.values["parameters"] or 0), float(result.values["optimal_depth"] or 0)
    first, last = math.log10(min(size, 1e6)), math.log10(max(size, 2e12))
    sizes = [10 ** (first + (last - first) * step / 80) for step in range(81)]
    law = [optimal_depth(each) for each in sizes]
    margins = [each.margin + resolution(each.depth) for each in law]
    depths = [each.depth for each in law]
    low = [max(0.0, depth - margin) for depth, margin in zip(depths, margins, strict=True)]
    high = [depth + margin for depth, margin in zip(depths, margins, strict=True)]
    candidates = _candidates(result)
    data = line(sizes, depths, "law, 12 d² per layer", low=low, high=high, mode="lines")
    data += [
        _points(
            "built", [each.size for each in BUILT], [each.depth for each in BUILT], [each.name for each in BUILT], 1
        ),
        _points(
            "candidates",
            [candidate[2] for candidate in candidates],
            [candidate[0] for candidate in candidates],
            [f"{candidate[0]} x {candidate[1]}" for candidate in candidates],
            2,
        ),
    ]
    rows: list[tuple[Cell, ...]] = [("this plan's law", round(best, 1), None, size)]
    rows += [("candidate", depth, width, count) for depth, width, count in candidates]
    rows += [(each.name, each.depth, each.width, each.size) for each in BUILT]
    return Figure(
        name="depth_law",
        title=f"At {size_text(size)} parameters the law asks for about {best:.0f} layers",
        caption="The band is 95 % of the fit's error and half a step of the depths it was fitted on. "
        "The law was fitted up to 6e8 parameters; beyond that it is extrapolated. "
        "Below the band depth would still pay; above it width would.",
        alt=f"Depth against non-embedding parameters on a logarithmic axis: a rising curve with its band, "
        f"{len(candidates)} candidate shapes at {size_text(size)} parameters, and {len(BUILT)} published networks.",
        data=data,
        layout=axes("non-embedding parameters", "depth (layers)", xaxis={"type": "log"}),
        table=Table(
            name="depth_law", title="Points drawn", columns=("shape", "depth", "width", "parameters"), rows=tuple(rows)
        ),
    )


def _candidates(result: Result) -> list[tuple[int, int, float]]:
    costs = next(table for table in result.tables if table.name == "costs")
    return [(int(row[0] or 0), int(row[1] or 0), float(row[2] or 0)) for row in costs.rows]


def _points(name: str, x: list[float], y: list[int], text: list[str], color: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "name": name,
        "x": x,
        "y": y,
        "text": text,
        "mode": "markers",
        "marker": {"color": COLORS[color], "size": 9},
        "hovertemplate": "%{text}: %{y} layers<extra></extra>",
    }


def _rules(result: Result) -> Figure:
    table = next(table for table in result.tables if table.name == "rules")
    rows = list(table.rows)
    band, others = rows[0], rows[1:]
    low, high = float(band[1] or 0), float(band[2] or 0)
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "name": str(row[0]),
            "x": [row[1], row[2]],
            "y": [str(row[0])] * 2,
            "mode": "lines+markers",
            "line": {"color": COLORS[0 if row is band else 1], "width": 8 if row is band else 4},
            "showlegend": False,
        }
        for row in reversed(rows)
    ]
    layout = axes("depth (layers)", "", xaxis={"type": "log"}, yaxis={"automargin": True})
    layout["shapes"] = [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": low,
            "x1": high,
            "y0": 0,
            "y1": 1,
            "fillcolor": COLORS[0] + "22",
            "line": {"width": 0},
        }
    ]
    overlapping = sum(row[5] == "overlaps" for row in others)
    return Figure(
        name="rules",
        title=f"{overlapping} of {len(others)} rules of practice overlap the band",
        caption="Each bar spans the depths that one rule asks for at this size; the shaded part is this plan's band. "
        "A single dot is a rule with one answer.",
        alt=f"Ranges of depth by rule: the plan's band from {low:g} to {high:g} layers and {len(others)} other rules.",
        data=data,
        layout=layout,
        table=Table(
            name="rules_drawn",
            title="What each rule says",
            columns=("rule", "depth from", "depth to", "says", "source", "how far it was read"),
            rows=tuple(_said(rule, rows) for rule in (LAW, *RULES)),
            note="No depth: the rule names none, or was made for other sizes.",
        ),
    )


def _said(rule: Rule, rows: list[tuple[Cell, ...]]) -> tuple[Cell, ...]:
    low, high = next((row[1:3] for row in rows if row[0] == rule.name), (None, None))
    return (rule.name, low, high, rule.says, rule.source, rule.strength)
