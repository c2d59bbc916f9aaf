"""Draws behavior behind guards of several lengths."""

from __future__ import annotations

from seqtant.beb.drawings.series import drawn, table_of
from seqtant.findings import Result
from seqtant.report.figures import Figure, axes


def figures(result: Result) -> list[Figure]:
    """One curve per guard."""
    table = table_of(result, "guards")
    guards = [str(row[0]) for row in table.rows]
    price = result.values.get("price_per_guard_sentence")
    return [
        Figure(
            name="guards",
            title="What guards cost an attack"
            if price is None
            else f"A guard sentence costs {price:.2f} sentences of attack",
            caption="Behavior after so many sentences of P- that follow a guard of so many sentences of P+.",
            alt=f"Curves for guards of {', '.join(guards)} sentences; longer guards shift them to the right.",
            data=[
                trace
                for color, guard in enumerate(guards)
                for trace in drawn(result, "behavior", f"guard: {guard}", group=guard, color=color)
            ],
            layout=axes("sentences from P-", "behavior", yaxis={"range": [-1.05, 1.05]}),
            table=table,
        )
    ]
