"""A figure as data: what to draw, what it says in words, and the table of the numbers it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqtant.findings import Result, Table
from seqtant.registry import import_attribute

COLORS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#a16207", "#db2777")
"""One palette for all pages, told apart by the color-blind."""

DARK_COLORS = ("#6ea8fe", "#f0a94a", "#3fc79a", "#f47c7c", "#ab8dfb", "#4fc3dc", "#d3ad4e", "#f07ab8")
"""The same palette on dark paper, in the same order; the page puts it in place of ``COLORS``."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One plotly figure with its words and its numbers.

    Args:
        name: Short snake_case name, unique on a page.
        title: What the reader should see in it, as a sentence.
        caption: How to read it.
        alt: What it shows, for those who cannot see it.
        data: Plotly traces as plain JSON data.
        layout: Plotly layout as plain JSON data; the page adds fonts, colors and margins.
        table: The numbers shown.
    """

    name: str
    title: str
    caption: str
    alt: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    table: Table


def draw(result: Result, drawings: Mapping[str, str]) -> list[Figure]:
    """Draws a result by its verb; a verb without drawings gives none.

    Args:
        result: What to draw.
        drawings: Verb -> ``module:function`` that turns its result into figures, imported when it is needed.
    """
    verb = result.instrument.partition(".")[2]
    return import_attribute(drawings[verb])(result) if verb in drawings else []


def line(
    x: list[float],
    y: list[float],
    name: str,
    *,
    color: int = 0,
    low: list[float] | None = None,
    high: list[float] | None = None,
    dash: str = "solid",
    mode: str = "lines+markers",
) -> list[dict[str, Any]]:
    """Traces of one line with its interval as a band.

    Example:
        >>> [trace["name"] for trace in line([0, 1], [1, 2], "loss", low=[0, 1], high=[2, 3])]
        ['loss interval', 'loss']
    """
    shade = COLORS[color % len(COLORS)]
    traces: list[dict[str, Any]] = []
    if low is not None and high is not None:
        traces.append(
            {
                "type": "scatter",
                "name": f"{name} interval",
                "x": [*x, *reversed(x)],
                "y": [*high, *reversed(low)],
                "fill": "toself",
                "fillcolor": shade + "33",
                "line": {"width": 0},
                "hoverinfo": "skip",
                "showlegend": False,
            }
        )
    traces.append(
        {"type": "scatter", "name": name, "x": x, "y": y, "mode": mode, "line": {"color": shade, "dash": dash}}
    )
    return traces


def axes(x: str, y: str, **layout: Any) -> dict[str, Any]:
    """A layout with titled axes; further plotly layout keys as they are.

    Example:
        >>> axes("depth", "width", yaxis={"type": "log"})["yaxis"]
        {'title': {'text': 'width'}, 'type': 'log'}
    """
    titled = {
        "xaxis": {"title": {"text": x}} | layout.pop("xaxis", {}),
        "yaxis": {"title": {"text": y}} | layout.pop("yaxis", {}),
    }
    return titled | layout
