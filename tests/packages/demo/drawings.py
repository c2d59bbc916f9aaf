"""One figure: the timed swings of each start beside the law."""

from __future__ import annotations

from seqtant.findings import Result, Table
from seqtant.report.figures import Figure, axes, line


def pendulum(result: Result) -> list[Figure]:
    """Draws mean and spread by swing."""
    steps = sorted({row.step or 0.0 for row in result.measurements})
    values = [[row.value for row in result.measurements if row.step == step] for step in steps]
    mean = [sum(each) / len(each) for each in values]
    low, high = [min(each) for each in values], [max(each) for each in values]
    law = result.values["law_seconds"]
    traces = line(steps, mean, "timed", low=low, high=high)
    traces += line(steps, [law] * len(steps), "law", color=1, dash="dash", mode="lines")
    return [
        Figure(
            name="periods",
            title="Every swing takes the same time",
            caption="Mean over the starts of each swing's period, with the range as a band, beside the law.",
            alt=f"Period against swing: about {mean[0]:.3g} s, constant, the law at {law:.3g} s.",
            data=traces,
            layout=axes("swing", "period, s"),
            table=Table(
                name="periods",
                title="Periods",
                columns=("swing", "mean, s", "lowest, s", "highest, s"),
                rows=tuple(zip(steps, mean, low, high, strict=True)),
            ),
        )
    ]
