"""Drawings of the verbs: each function turns a result into figures, from what the result holds alone."""

from __future__ import annotations

import math
from typing import Any

from seqtant.findings import Result, Table
from seqtant.report.figures import COLORS, Figure, axes, line


def _points(result: Result, key: str, group: str) -> tuple[list[float], list[float]]:
    """Steps and values of one quantity, ascending in step."""
    rows = sorted((row.step or 0.0, row.value) for row in result.series(key, group))
    return [step for step, _ in rows], [value for _, value in rows]


def _groups(result: Result, key: str) -> list[str]:
    """Groups of one quantity, in order of appearance."""
    return list(dict.fromkeys(row.group for row in result.series(key)))


def _table(result: Result, name: str) -> Table:
    return next(table for table in result.tables if table.name == name)


def shots(result: Result) -> list[Figure]:
    """Draws the missing accuracy by number of shots, and predicted against measured shots."""
    names = _groups(result, "accuracy")
    curves: list[dict[str, Any]] = []
    for color, name in enumerate(names):
        x, y = _points(result, "loss", name)
        error = _points(result, "loss_error", name)[1]
        low, high = ([a + sign * 1.96 * b for a, b in zip(y, error, strict=True)] for sign in (-1, 1))
        curves += line(x, y, name, color=color, low=low, high=high)
        x, y = _points(result, "predicted_loss", name)
        curves += line(x[1:], y[1:], f"{name}, predicted", color=color, dash="dot", mode="lines")
    # Tasks at the same place share one mark, or their names would overprint each other.
    places: dict[tuple[float, ...], list[str]] = {}
    for name in names:
        place = tuple(result.values.get(f"{kind}_shots_{name}") or math.inf for kind in ("predicted", "measured"))
        if all(map(math.isfinite, place)):
            places.setdefault(place, []).append(name)
    drawn = [
        Figure(
            name="losses",
            title="Accuracy that is missing to knowing the task, by number of shots",
            caption="Lines are measured in prompts, with 95 % intervals over prompts; dots are predicted from single "
            "examples by theory.",
            alt=f"Loss of accuracy against shots for {len(names)} tasks, measured and predicted.",
            data=curves,
            layout=axes("shots", "accuracy missing", yaxis={"range": [-0.1, 1]}),
            table=_table(result, "shots"),
        )
    ]
    if not places:
        return drawn
    most = max(map(max, places)) * 1.2
    x, y = map(list, zip(*places, strict=True))
    (marks,) = line(x, y, "tasks", mode="markers+text")
    marks |= {"text": [", ".join(names) for names in places.values()], "textposition": "middle right"}
    marks |= {"marker": {"color": COLORS[0], "size": 9}}
    factors = [
        *line([0, most], [0, most * 1.5], "factor 1.5", color=6, dash="dot", mode="lines"),
        *line([0, most], [0, most / 1.5], "factor 1/1.5", color=6, dash="dot", mode="lines"),
    ]
    return [
        *drawn,
        Figure(
            name="predicted_measured",
            title="Predicted and measured shots",
            caption="One mark per task; between the dotted lines both agree within a factor 1.5.",
            alt=f"Measured against predicted shots of {sum(map(len, places.values()))} tasks.",
            data=[*factors, marks],
            layout=axes("predicted shots", "measured shots", xaxis={"range": [0, most]}, yaxis={"range": [0, most]}),
            table=_table(result, "shots"),
        ),
    ]


def posterior(result: Result) -> list[Figure]:
    """Draws the posterior by number of shots, one line per task; inferred from the answers it is dotted."""
    names = _groups(result, "posterior")
    data: list[dict[str, Any]] = []
    for color, name in enumerate(names):
        data += line(*_points(result, "posterior", name), name, color=color)
        if result.series("posterior_read", name):
            x, y = _points(result, "posterior_read", name)
            data += line(x, y, f"{name}, from answers", color=color, dash="dot", mode="markers+lines")
    table = next(name for name in ("tasks", "posterior") if any(t.name == name for t in result.tables))
    return [
        Figure(
            name="posterior",
            title="How sure the prompt makes of its task",
            caption="Posterior of the true task from the evidence of single examples, mean over prompts; dotted: read "
            "off the model's answers. For one given prompt: the posterior of every task.",
            alt=f"Posterior against shots for {len(names)} tasks.",
            data=data,
            layout=axes("shots", "posterior", yaxis={"range": [0, 1.02]}),
            table=_table(result, table),
        )
    ]


def corrupt(result: Result) -> list[Figure]:
    """Draws accuracy by kind of examples, and measured slopes against the flip law."""
    rows = result.series("accuracy")
    ends = [[row.value for row in result.series(f"accuracy_{end}")] for end in ("low", "high")]
    bars = {
        "type": "bar",
        "name": "accuracy",
        "x": [row.group for row in rows],
        "y": [row.value for row in rows],
        "marker": {"color": COLORS[0]},
        "error_y": {
            "type": "data",
            "array": [high - row.value for row, high in zip(rows, ends[1], strict=True)],
            "arrayminus": [row.value - low for row, low in zip(rows, ends[0], strict=True)],
        },
    }
    drawn = [
        Figure(
            name="variants",
            title="What spoiled examples leave of accuracy",
            caption="Accuracy on clean queries after examples of each kind, all tasks together; 95 % intervals.",
            alt=f"Accuracy after {len(rows)} kinds of examples.",
            data=[bars],
            layout=axes("examples", "accuracy", yaxis={"range": [0, 1]}),
            table=_table(result, "variants"),
        )
    ]
    law = {row.group: row.value for row in result.series("slope_law")}
    measured = {row.group: row.value for row in result.series("slope")}
    if not law:
        return drawn
    low, high = min(*law.values(), *measured.values()), max(*law.values(), *measured.values())
    (marks,) = line(list(law.values()), [measured[name] for name in law], "task and kind", mode="markers")
    marks |= {"text": list(law), "marker": {"color": COLORS[0]}}
    return [
        *drawn,
        Figure(
            name="flip_law",
            title="Evidence per shot: the flip law and the measurement",
            caption="Log-odds per shot against the nearest rival; on the dashed line both agree. Below zero a prompt "
            "argues for the wrong task.",
            alt=f"Measured against predicted slopes of {len(law)} tasks and kinds of examples.",
            data=[*line([low, high], [low, high], "equal", color=6, dash="dash", mode="lines"), marks],
            layout=axes("predicted, nats per shot", "measured, nats per shot"),
            table=_table(result, "slopes"),
        ),
    ]


def order(result: Result) -> list[Figure]:
    """Draws the accuracy of every order of one set of examples, one column of marks per task."""
    names = _groups(result, "accuracy")
    data: list[dict[str, Any]] = []
    for color, name in enumerate(names):
        box = {"type": "box", "name": name, "y": _points(result, "accuracy", name)[1], "boxpoints": "all"}
        data.append(box | {"marker": {"color": COLORS[color % len(COLORS)]}})
    return [
        Figure(
            name="orders",
            title="Accuracy of every order of the same examples",
            caption="One mark per order of the first set of examples of each task.",
            alt=f"Spread of accuracy over orders for {len(names)} tasks.",
            data=data,
            layout=axes("task", "accuracy", yaxis={"range": [-0.02, 1.02]}),
            table=_table(result, "orders"),
        )
    ]


def ginc_bayes(result: Result) -> list[Figure]:
    """Draws accuracy on prompts of GINC by number of shots, one line per model."""
    names = _groups(result, "accuracy")
    data: list[dict[str, Any]] = []
    for color, name in enumerate(names):
        x, y = _points(result, "accuracy", name)
        low, high = (_points(result, f"accuracy_{end}", name)[1] for end in ("low", "high"))
        data += line(x, y, name, color=color, low=low, high=high)
    return [
        Figure(
            name="accuracy",
            title="Accuracy in context by number of shots",
            caption="Share of prompts whose likeliest symbol is the right one, with Wilson's 95 % interval.",
            alt=f"Accuracy against shots: {', '.join(names)}.",
            data=data,
            layout=axes("shots", "accuracy", yaxis={"range": [0, 1.02]}, xaxis={"rangemode": "tozero"}),
            table=_table(result, "accuracy"),
        )
    ]


ginc_eval = ginc_bayes


def ginc_train(result: Result) -> list[Figure]:
    """Draws accuracy on prompts of GINC by number of shots, and the course of the training."""
    x, y = _points(result, "training_loss", "")
    best = float(result.values["bayes_cross_entropy"] or 0)
    training = line(x, y, "training loss", mode="lines")
    training += line([x[0], x[-1]], [best, best], "exact Bayes", color=1, dash="dash", mode="lines")
    return [
        *ginc_bayes(result),
        Figure(
            name="training",
            title="The course of the training",
            caption="Loss of single batches; the dashed line is the exact Bayes predictor's.",
            alt=f"Training loss at {len(x)} steps.",
            data=training,
            layout=axes("step", "nats per symbol"),
            table=_table(result, "accuracy"),
        ),
    ]
