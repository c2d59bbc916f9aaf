"""Draws a separation rank against the width: where the input's rank stops it, and what one more layer does."""

from __future__ import annotations

from seqtant.architecture.theory import closed_form_rank
from seqtant.findings import Cell, Result, Table
from seqtant.report.figures import COLORS, Figure, axes, line

_DEEPEST = 3
"""Depth up to which the next layer is drawn too; beyond it ranks have too many digits to compare by eye."""


_LARGEST_DRAWN = 1e12
"""Widths beyond the measured one whose closed form is larger are left out."""


def figures(result: Result) -> list[Figure]:
    """The closed form against the width, with the measured rank on it."""
    depth, width, tokens = (int(result.config[name]) for name in ("depth", "width", "tokens"))
    rank, limit = int(result.values["rank"] or 0), result.config["embed_rank"]
    depths = [depth, depth + 1] if depth < _DEEPEST else [depth]
    widths = [
        each
        for each in range(1, max(8, width + 2) + 1)
        if each <= width or closed_form_rank(depths[-1], each, tokens) < _LARGEST_DRAWN
    ]
    curves = {f"depth {each}, full-rank input": _curve(each, widths, tokens, None) for each in depths}
    if limit is not None:
        curves |= {f"depth {each}, rank {limit}": _curve(each, widths, tokens, int(limit)) for each in depths}
    data = [
        trace
        for color, (name, ranks) in enumerate(curves.items())
        for trace in line([float(each) for each in widths], ranks, name, color=color, dash="solid" if limit else "dot")
    ]
    data.append(
        {
            "type": "scatter",
            "name": "measured",
            "x": [width],
            "y": [rank],
            "mode": "markers",
            "marker": {"color": COLORS[3], "size": 13, "symbol": "star"},
        }
    )
    rows: list[tuple[Cell, ...]] = [
        (each, *(ranks[index] for ranks in curves.values()), rank if each == width else None)
        for index, each in enumerate(widths)
    ]
    stop = f"; beyond width {limit} the input's rank holds it" if limit else ""
    return [
        Figure(
            name="rank_by_width",
            title=f"Rank {rank} at width {width} and depth {depth}{stop}",
            caption="Lines are the closed form (exact for one head and generic weights, an upper bound otherwise); "
            "the star is the measured rank. A flat line means that width adds parameters but no rank.",
            alt=f"Separation rank against width on a logarithmic axis, {len(curves)} curves, "
            f"and the measured rank {rank} at width {width}.",
            data=data,
            layout=axes("width", "separation rank", yaxis={"type": "log"}),
            table=Table(
                name="rank_by_width",
                title="Closed form and measured rank by width",
                columns=("width", *curves, "measured"),
                rows=tuple(rows),
            ),
        )
    ]


def _curve(depth: int, widths: list[int], tokens: int, limit: int | None) -> list[float]:
    ranks = [closed_form_rank(depth, width if limit is None else min(width, limit), tokens) for width in widths]
    return [float(min(rank, 10**300)) for rank in ranks]
