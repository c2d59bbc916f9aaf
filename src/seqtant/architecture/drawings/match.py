"""Draws a match: how the rank of each depth grows with its width, and where it reaches the given one."""

from __future__ import annotations

from seqtant.architecture.theory import log3_many_token_rank
from seqtant.findings import Cell, Result, Table
from seqtant.report.figures import COLORS, Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """Rank against width for both depths."""
    depth, width, to_depth = (int(result.config[name]) for name in ("depth", "width", "to_depth"))
    needed = result.values["matching_width"]
    last = max(width, int(needed) if needed is not None else 1000 * width, 4)
    widths = sorted({max(1, round(2 * last ** (step / 40))) for step in range(41)} | {width, last})
    target = log3_many_token_rank(depth, width)
    curves = {each: [log3_many_token_rank(each, candidate) for candidate in widths] for each in (depth, to_depth)}
    data = [
        trace
        for color, (each, ranks) in enumerate(curves.items())
        for trace in line([float(place) for place in widths], ranks, f"depth {each}", color=color, mode="lines")
    ]
    points = [(width, "given")] + ([(int(needed), "matching")] if needed is not None else [])
    data.append(
        {
            "type": "scatter",
            "name": "shapes",
            "x": [place for place, _ in points],
            "y": [target] * len(points),
            "text": [name for _, name in points],
            "mode": "lines+markers",
            "line": {"dash": "dot", "color": COLORS[3]},
            "marker": {"size": 10},
        }
    )
    rows: list[tuple[Cell, ...]] = [
        (place, *(ranks[index] for ranks in curves.values())) for index, place in enumerate(widths)
    ]
    answer = f"width {needed}" if needed is not None else "a width out of reach"
    return [
        Figure(
            name="rank_by_width",
            title=f"{to_depth} layers need {answer} to match {depth} layers of width {width}",
            caption="Both axes are logarithmic (the rank is drawn as its logarithm to base 3). "
            "The dotted line joins the two shapes of equal rank.",
            alt=f"Logarithm of the separation rank against width for depths {depth} and {to_depth}; "
            f"the given shape at width {width} and the match at {answer}.",
            data=data,
            layout=axes("width", "log3 of the separation rank", xaxis={"type": "log"}, yaxis={"type": "log"}),
            table=Table(
                name="rank_by_width",
                title="log3 of the separation rank by width",
                columns=("width", *(f"depth {each}" for each in curves)),
                rows=tuple(rows),
            ),
        )
    ]
