"""Draws the two-sided bounds on the effective separation rank by depth."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """One band per way of seeing the earlier text, at the finest precision."""
    lower, upper = result.series("rank_lower"), result.series("rank_upper")
    precision = min(float(row.group.rpartition(" at ")[2]) for row in lower)
    groups = [g for g in dict.fromkeys(row.group for row in lower) if float(g.rpartition(" at ")[2]) == precision]
    data, first = [], []
    for color, group in enumerate(groups):
        low = [row for row in lower if row.group == group]
        high = [row for row in upper if row.group == group]
        name = group.rpartition(" at ")[0]
        data += line(
            [row.step or 0.0 for row in low],
            [(a.value + b.value) / 2 for a, b in zip(low, high, strict=True)],
            name,
            color=color,
            low=[row.value for row in low],
            high=[row.value for row in high],
        )
        first.append(f"{name}: {low[-1].value:g} to {high[-1].value:g} at depth {low[-1].step:g}")
    return [
        Figure(
            name="ranks",
            title=f"Effective rank at precision {precision:g}: one pass against one step",
            caption="Bands are proved bounds for the tabulated texts, lines their middle. Smaller steps keep less of "
            "what the two texts have to do with each other.",
            alt="Bounds on the effective separation rank. " + "; ".join(first),
            data=data,
            layout=axes("depth", "effective separation rank", xaxis={"dtick": 1}),
            table=next(table for table in result.tables if table.name == "ranks"),
        )
    ]
