"""Draws the figures of compare, train, eval and probe from what their results hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqtant.findings import Result, Table
from seqtant.report.figures import COLORS, Figure, axes, line


def compare(result: Result) -> list[Figure]:
    """Draws learning curves, updates to 90 % with censored runs, and accuracy per step where it was measured."""
    arms = list(dict.fromkeys(row.group for row in result.series("answer")))
    if not arms:
        return []
    curves: list[dict[str, Any]] = []
    points: list[tuple[str, float, float, float, float]] = []
    for color, arm in enumerate(arms):
        rows = result.series("answer", arm)
        updates = sorted({row.step or 0.0 for row in rows})
        values = np.array([[row.value for row in rows if row.step == update] for update in updates])  # [updates, seeds]
        mean, low, high = values.mean(axis=1), values.min(axis=1), values.max(axis=1)
        curves += line(updates, mean.tolist(), arm, color=color, low=low.tolist(), high=high.tolist(), mode="lines")
        points += [(arm, *each) for each in zip(updates, mean.tolist(), low.tolist(), high.tolist(), strict=True)]
    seeds, columns = len({row.seed for row in result.series("answer")}), ("arm", "updates", "mean", "worst", "best")
    learning = Figure(
        name="curves",
        title="Right answers while learning, on the network's own steps",
        caption=f"Mean over seeds ({seeds}) on validation inputs; bands from the worst to the best seed.",
        alt=f"Share of right answers against updates for {', '.join(arms)}.",
        data=curves,
        layout=axes("updates", "right answers", yaxis={"range": [0, 1.03]}),
        table=Table(name="curves", title="Learning curves", columns=columns, rows=tuple(points)),
    )
    marks: list[dict[str, Any]] = []
    runs: list[tuple[str, int, float, bool]] = []
    for color, arm in enumerate(arms):
        # Censored runs are drawn open, at the budget.
        kinds = (("updates_to_90", "circle", "reached"), ("censored_at", "triangle-right-open", "not yet"))
        for key, symbol, name in kinds:
            reaching = result.series(key, arm)
            if reaching:
                runs += [(arm, row.seed or 0, row.value, key == "updates_to_90") for row in reaching]
                values = [row.value for row in reaching]
                marks.append(_marks(f"{arm}, {name}", values, [arm] * len(reaching), color, size=13, symbol=symbol))
    reached = sum(run[3] for run in runs)
    times = Figure(
        name="times",
        title=f"{reached} of {len(runs)} runs reach 90 % within the budget",
        caption="One mark per seed. A dot is the first look with 90 % of the answers right; an open triangle is a "
        "run that had not got there when its updates were spent: its time is longer than shown.",
        alt=f"Updates to 90 % right answers for {', '.join(arms)}, with runs that did not reach it marked.",
        data=marks,
        layout=axes("updates to 90 % right answers", "", xaxis={"rangemode": "tozero"}, yaxis={"type": "category"}),
        table=Table(
            name="times", title="Updates to 90 %", columns=("arm", "seed", "updates", "reached"), rows=tuple(runs)
        ),
    )
    # Accuracy per step is measured for the first seed, where steps are written.
    steps = list(dict.fromkeys(row.group for row in result.series("step_accuracy")))
    if not steps:
        return [learning, times]
    data: list[dict[str, Any]] = []
    cells: list[tuple[str, float, float]] = []
    for step in steps:
        rows = result.series("step_accuracy", step)
        updates, values = [row.step or 0.0 for row in rows], [row.value for row in rows]
        data += line(updates, values, f"step {step}", color=int(step), mode="lines")
        cells += list(zip([step] * len(rows), updates, values, strict=True))
    step_curves = Figure(
        name="steps",
        title="Steps are found one by one; the answer waits for the last of them",
        caption="Accuracy of each step given the true earlier ones, first seed.",
        alt=f"Accuracy of {len(steps)} steps against updates.",
        data=data,
        layout=axes("updates", "accuracy given true steps", yaxis={"range": [0, 1.03]}),
        table=Table(
            name="step_curves", title="Accuracy per step", columns=("step", "updates", "accuracy"), rows=tuple(cells)
        ),
    )
    return [learning, times, step_curves]


def _marks(name: str, x: list[Any], y: list[Any], color: int, **marker: Any) -> dict[str, Any]:
    marker = {**marker, "color": COLORS[color % len(COLORS)]}
    return {"type": "scatter", "name": name, "x": x, "y": y, "mode": "markers", "marker": marker}


def train(result: Result) -> list[Figure]:
    """Draws each step on own and on true steps, and the first errors."""
    own, true = result.series("own_steps"), result.series("true_steps")
    if not own:
        return []
    table = next(table for table in result.tables if table.name == "steps")
    data = line([row.step or 0.0 for row in own], [row.value for row in own], "on own steps")
    if true:
        data += line([row.step or 0.0 for row in true], [row.value for row in true], "given true steps", color=1)
    accuracies = Figure(
        name="steps",
        title=f"Accuracy of {len(own)} written pieces",
        caption="Where the lines part, errors of earlier steps do the harm; where both are low, the step is hard.",
        alt=f"Accuracy of {len(own)} steps on the model's own steps" + (" and on true ones." if true else "."),
        data=data,
        layout=axes("step, in the order of writing", "accuracy", yaxis={"range": [0, 1.03]}),
        table=table,
    )
    rows = result.series("first_errors")
    bars: dict[str, Any] = {"type": "bar", "name": "first errors", "marker": {"color": COLORS[0]}}
    bars |= {"x": [row.group for row in rows], "y": [row.value for row in rows]}
    total = int(sum(row.value for row in rows))
    first_errors = Figure(
        name="first_errors",
        title=f"{total} solutions go wrong somewhere" if total else "No solution goes wrong",
        caption="Number of solutions whose first wrong piece is this one.",
        alt=f"Histogram of first errors over {len(rows)} steps; {total} in all.",
        data=[bars],
        layout=axes("step", "solutions", xaxis={"type": "category"}),
        table=table,
    )
    return [accuracies, first_errors]


def eval(result: Result) -> list[Figure]:
    """Draws what :func:`train` draws, or steps against direct answers."""
    drawn = train(result)
    if result.series("accuracy"):
        data: list[dict[str, Any]] = []
        for color, group in enumerate(("own steps", "at once")):
            keys = ("accuracy", "accuracy_low", "accuracy_high")
            values, low, high = ([row.value for row in result.series(key, group)] for key in keys)
            steps = [row.step or 0.0 for row in result.series("accuracy", group)]
            data += line(steps, values, group, color=color, low=low, high=high)
        direct = Figure(
            name="direct",
            title="Right answers with and without steps, by number of steps",
            caption="Bands are Wilson's 95 % intervals.",
            alt="Accuracy on own steps and at once against the number of steps of a problem.",
            data=data,
            layout=axes("steps of a problem", "right answers", yaxis={"range": [0, 1.03]}),
            table=next(table for table in result.tables if table.name == "problems"),
        )
        drawn.append(direct)
    return drawn


def probe(result: Result) -> list[Figure]:
    """Draws the signal of every step and of the whole task beside the theorem's bound and the noise."""
    series = {key: result.series(key) for key in ("signal", "bound", "noise")}
    names = [row.group for row in series["signal"]]
    if not names:
        return []
    marks: list[dict[str, Any]] = []
    for color, (key, rows) in enumerate(series.items()):
        shown = [row for row in rows if row.value > 0]
        symbol = ("circle", "line-ew-open", "x")[color]
        groups, values = [row.group for row in shown], [row.value for row in shown]
        marks.append(_marks(key, groups, values, color, size=10, symbol=symbol))
    weakest = min(row.value for row in series["signal"] if row.group != "whole")
    whole = next(row.value for row in series["signal"] if row.group == "whole")
    ratio = f"{weakest / whole:.0f} times" if whole > 0 else "beyond measure"
    return [
        Figure(
            name="signals",
            title=f"The weakest step is {ratio} easier to see than the whole task",
            caption="Variance of the fresh gradient from target to target (signal), the theorem's bound on it, and "
            "its variance from input to input (noise), over all weights. A signal that is not shown was not above 0.",
            alt=f"Gradient signal, bound and noise of {len(names) - 1} steps and the whole task, logarithmic.",
            data=marks,
            layout=axes("step", "variance", yaxis={"type": "log"}, xaxis={"type": "category"}),
            table=next(table for table in result.tables if table.name == "signals"),
        )
    ]
