"""Draws an audit: where the parameters are, and where the depth lies against the law."""

from __future__ import annotations

from seqtant.architecture.theory import optimal_depth
from seqtant.boundary import size_text
from seqtant.findings import Result, Table
from seqtant.report.figures import COLORS, Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """Parameters by component, and the depth law with the model on it where the law speaks."""
    drawn = [_components(result)]
    return drawn if result.values["optimal_depth"] is None else [*drawn, _depth(result)]


def _components(result: Result) -> Figure:
    table = next(table for table in result.tables if table.name == "parameters")
    rows = [row for row in table.rows if row[0] != "total" and row[1]]
    names, counts = [str(row[0]) for row in rows], [float(row[1] or 0) for row in rows]
    total = float(result.values["parameters"] or 0)
    largest = names[counts.index(max(counts))]
    return Figure(
        name="components",
        title=f"Most of the {total:,.0f} parameters are in {largest}",
        caption=f"{table.title}. Tied and shared weights count once.",
        alt=f"Bars of parameters by component; the largest is {largest} with {max(counts) / total:.0%}.",
        data=[
            {
                "type": "bar",
                "orientation": "h",
                "x": counts[::-1],
                "y": names[::-1],
                "marker": {"color": COLORS[0]},
                "hovertemplate": "%{y}: %{x:,}<extra></extra>",
            }
        ],
        layout=axes("parameters", "", yaxis={"automargin": True}),
        table=table,
    )


def _depth(result: Result) -> Figure:
    size, depth = float(result.values["non_embedding_parameters"] or 0), float(result.values["depth"] or 0)
    low, high = min(size, 1e6), max(size, 1e12)
    sizes = [low * (high / low) ** (step / 60) for step in range(61)]
    law = [optimal_depth(each) for each in sizes]
    data = line(
        sizes,
        [each.depth for each in law],
        "law",
        low=[each.low for each in law],
        high=[each.high for each in law],
        mode="lines",
    )
    data.append(
        {
            "type": "scatter",
            "name": "advised band",
            "x": [size, size],
            "y": [result.values["depth_low"], result.values["depth_high"]],
            "mode": "lines",
            "line": {"color": COLORS[2], "width": 6},
        }
    )
    data.append(
        {
            "type": "scatter",
            "name": "this model",
            "x": [size],
            "y": [depth],
            "mode": "markers",
            "marker": {"color": COLORS[1], "size": 12},
        }
    )
    best = float(result.values["optimal_depth"] or 0)
    return Figure(
        name="depth",
        title=f"{depth:g} layers, where the law asks for about {best:.1f}",
        caption="The law with 95 % of the fit's error, fitted on 6 to 48 layers and about 3e6 to 6e8 parameters; "
        "beyond that it is drawn out. The bar is the band of depths worth considering at this size.",
        alt=f"Depth against non-embedding parameters: a rising curve; this model at {size_text(size)} parameters and "
        f"{depth:g} layers, the curve at {best:.1f}.",
        data=data,
        layout=axes("non-embedding parameters", "layers", xaxis={"type": "log"}),
        table=Table(
            name="depth_drawn",
            title="Depths at this size",
            columns=("what", "layers"),
            rows=(
                ("this model", depth),
                ("law", round(best, 2)),
                ("band from", result.values["depth_low"]),
                ("band to", result.values["depth_high"]),
            ),
        ),
    )
