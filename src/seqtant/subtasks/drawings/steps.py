"""Draws an evaluation: each step on own and on true steps, first errors, or steps against direct answers."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result, Table
from seqtant.report.figures import COLORS, Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """What the verb measured."""
    drawn: list[Figure] = []
    if result.series("own_steps"):
        drawn += [_accuracies(result), _first_errors(result)]
    if result.series("accuracy"):
        drawn.append(_against_direct(result))
    return drawn


def _table(result: Result, name: str) -> Table:
    return next(table for table in result.tables if table.name == name)


def _accuracies(result: Result) -> Figure:
    own, true = result.series("own_steps"), result.series("true_steps")
    data = line([row.step or 0.0 for row in own], [row.value for row in own], "on own steps")
    if true:
        data += line([row.step or 0.0 for row in true], [row.value for row in true], "given true steps", color=1)
    return Figure(
        name="steps",
        title=f"Accuracy of {len(own)} written pieces",
        caption="Where the lines part, errors of earlier steps do the harm; where both are low, the step is hard.",
        alt=f"Accuracy of {len(own)} steps on the model's own steps" + (" and on true ones." if true else "."),
        data=data,
        layout=axes("step, in the order of writing", "accuracy", yaxis={"range": [0, 1.03]}),
        table=_table(result, "steps"),
    )


def _first_errors(result: Result) -> Figure:
    rows = result.series("first_errors")
    bars: dict[str, Any] = {
        "type": "bar",
        "name": "first errors",
        "x": [row.group for row in rows],
        "y": [row.value for row in rows],
        "marker": {"color": COLORS[0]},
    }
    total = int(sum(row.value for row in rows))
    return Figure(
        name="first_errors",
        title=f"{total} solutions go wrong somewhere" if total else "No solution goes wrong",
        caption="Number of solutions whose first wrong piece is this one.",
        alt=f"Histogram of first errors over {len(rows)} steps; {total} in all.",
        data=[bars],
        layout=axes("step", "solutions", xaxis={"type": "category"}),
        table=_table(result, "steps"),
    )


def _against_direct(result: Result) -> Figure:
    data: list[dict[str, Any]] = []
    for color, group in enumerate(("own steps", "at once")):
        rows = {
            key: [row.value for row in result.series(key, group)]
            for key in ("accuracy", "accuracy_low", "accuracy_high")
        }
        steps = [row.step or 0.0 for row in result.series("accuracy", group)]
        data += line(steps, rows["accuracy"], group, color=color, low=rows["accuracy_low"], high=rows["accuracy_high"])
    return Figure(
        name="direct",
        title="Right answers with and without steps, by number of steps",
        caption="Bands are Wilson's 95 % intervals.",
        alt="Accuracy on own steps and at once against the number of steps of a problem.",
        data=data,
        layout=axes("steps of a problem", "right answers", yaxis={"range": [0, 1.03]}),
        table=_table(result, "problems"),
    )
