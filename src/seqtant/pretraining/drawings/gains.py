"""Draws what a gradient step gains, by its length, beside what the context gains."""

from __future__ import annotations

from seqtant.findings import Result
from seqtant.report.figures import Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """Lines of the two gains by a step, level lines of the two gains in context."""
    rows = {group: result.series("gain_sequential", group) for group in ("related", "random")}
    steps = [row.step or 0.0 for row in rows["related"]]
    levels = {
        "related": result.values["gain_in_context"] or 0.0,
        "random": result.values["gain_in_context_random"] or 0.0,
    }
    data = []
    for color, (group, own) in enumerate(rows.items()):
        data += line(steps, [row.value for row in own], f"gradient step, {group} text", color=color)
        data += line(
            steps, [levels[group]] * len(steps), f"in context, {group} text", color=color, dash="dash", mode="lines"
        )
    return [
        Figure(
            name="gains",
            title="Gain in context against gain by one gradient step",
            caption="The loss of a text falls by so much when another was read before it (level lines), or learned "
            "by one gradient step of a given length (points). What random text gains is getting used to the style.",
            alt=f"In context: {levels['related']:.3f} from related, {levels['random']:.3f} from random text. Steps "
            + ", ".join(f"{row.step:g}: {row.value:.3f}" for row in rows["related"]),
            data=data,
            layout=axes("length of the step, in lengths of the weights", "nats per token", xaxis={"type": "log"}),
            table=next(table for table in result.tables if table.name == "gains"),
        )
    ]
