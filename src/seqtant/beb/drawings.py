"""Draws the results of each verb: what the result holds, nothing computed anew."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result, Table
from seqtant.report.figures import Figure, axes, line

LAWS = (("exact", "exact"), ("logistic_normal", "logistic-normal"), ("bayes", "Bayesian law"), ("lemma_7", "Lemma 7"))
BEHAVIOR = {"range": [-1.05, 1.05]}
"""Axis of behavior, from -1 to 1."""


def points(result: Result, key: str, group: str | None = None) -> tuple[list[float], list[float]]:
    """Steps and values of one recorded quantity, ascending in step."""
    rows = sorted((row.step, row.value) for row in result.series(key, group) if row.step is not None)
    return [step for step, _ in rows], [value for _, value in rows]


def series(result: Result, key: str, name: str, *, group: str | None = None, **style: Any) -> list[dict[str, Any]]:
    """One recorded quantity as a line; no trace where it was not recorded."""
    x, y = points(result, key, group)
    return line(x, y, name, **style) if x else []


def table_of(result: Result, name: str) -> Table:
    """A table of the result by name."""
    return next(table for table in result.tables if table.name == name)


def bound(result: Result) -> list[Figure]:
    """The two weights, with the lengths of Theorems 1 and 5."""
    tight, most = (float(result.values[key] or 0.0) for key in ("misalign_tight", "mass_tight"))
    return [
        Figure(
            name="weights",
            title=f"Alignment fails by {tight:.1f} sentences",
            caption="Posterior weight of P- after a prompt that brings beta nats per sentence, and on average "
            "over prompts whose log-ratios scatter. Dotted: Theorem 1 and Theorem 5, tight forms.",
            alt=f"Two rising curves; the weight of P- is near 1 by {tight:.1f} sentences.",
            data=[
                *series(result, "one_prompt", "one prompt", mode="lines"),
                *series(result, "average_prompt", "average", color=1, mode="lines"),
                *line([tight, tight], [0, 1], "some prompt", color=2, dash="dot", mode="lines"),
                *line([most, most], [0, 1], "most prompts", color=3, dash="dot", mode="lines"),
            ],
            layout=axes("sentences from P-", "weight of P-"),
            table=table_of(result, "lengths"),
        )
    ]


def measure(result: Result) -> list[Figure]:
    """Behavior and divergence against the number of sentences."""
    return [behavior(result), divergence(result)]


def behavior(result: Result) -> Figure:
    """The measured behavior with its interval, the prediction, and what it runs towards."""
    x, y = points(result, "behavior")
    errors = points(result, "behavior_error")[1]
    low, high = ([value + sign * 1.96 * error for value, error in zip(y, errors, strict=True)] for sign in (-1, 1))
    measured, predicted = (result.values.get(f"halfway_{kind}") for kind in ("measured", "predicted"))
    title = "Behavior does not come half the way down within the prompts"
    if measured is not None:
        title = f"Half of the way is gone after {measured:.2f} sentences of P-"
        title += "" if predicted is None else f"; {predicted:.2f} were predicted"
    return Figure(
        name="behavior",
        title=title,
        caption="Behavior from -1 (bad) to 1 (good) after so many sentences drawn from P-, mean over prompts with a "
        "95 % band. The prediction takes log(1/alpha) and every prompt's log-ratio, never the measured behavior.",
        alt=f"Behavior falls from {y[0]:.2f} to {y[-1]:.2f} over {x[-1]:.0f} sentences.",
        data=[
            *line(x, y, "measured", low=low, high=high),
            *series(result, "predicted", "predicted", color=1, dash="dash", mode="lines"),
            *series(result, "minus", "P- itself", color=3, dash="dot", mode="lines"),
        ],
        layout=axes("sentences from P-", "behavior", yaxis=BEHAVIOR),
        table=table_of(result, "curve"),
    )


def divergence(result: Result) -> Figure:
    """The divergence of P- from the model, whose area is log(1/alpha), beside that from P+."""
    read, floor = result.values.get("log_inverse_alpha"), result.values.get("floor")
    title = "The divergence does not fall: no log(1/alpha) can be read off"
    if read is not None:
        title = f"The area above the floor is log(1/alpha): {read:.3f} nats"
    x, y = points(result, "divergence")
    return Figure(
        name="divergence",
        title=title,
        caption="Exact divergence of P- from the model in each sentence of its prompts; its sum over all sentences is "
        f"log(1/alpha). Floor: {floor or 0.0:.4f} nats per sentence. The upper line is what tells P- from P+.",
        alt=f"Divergence from the model goes from {y[0]:.2f} to {y[-1]:.2f} nats per sentence.",
        data=[
            {**line(x, y, "from the model")[0], "fill": "tozeroy"},
            *series(result, "separation", "from P+", color=1),
        ],
        layout=axes("sentence", "nats", yaxis={"rangemode": "tozero"}),
        table=table_of(result, "curve"),
    )


calibrate = measure


def curve(result: Result) -> list[Figure]:
    """The laws beside the measured behavior; without a log(1/alpha) only what was measured."""
    if not points(result, "exact")[0]:
        return measure(result)
    x, y = points(result, "behavior")
    best = min(LAWS, key=lambda law: result.values[f"error_{law[0]}"] or 0.0)[1]
    return [
        Figure(
            name="laws",
            title=f"The {best} curve comes nearest to the measured behavior",
            caption="An average over prompts is flatter than one prompt's sigmoid (Lemma 7): prompts of one length "
            "carry unlike evidence.",
            alt=f"Measured behavior falls from {y[0]:.2f} to {y[-1]:.2f}; four predicted curves run beside it.",
            data=[
                *line(x, y, "measured", mode="markers"),
                *(
                    trace
                    for color, (key, name) in enumerate(LAWS, start=1)
                    for trace in series(result, key, name, color=color, mode="lines")
                ),
            ],
            layout=axes("sentences from P-", "behavior", yaxis=BEHAVIOR),
            table=table_of(result, "laws"),
        ),
        divergence(result),
    ]


def guard(result: Result) -> list[Figure]:
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
                for trace in series(result, "behavior", f"guard: {guard}", group=guard, color=color)
            ],
            layout=axes("sentences from P-", "behavior", yaxis=BEHAVIOR),
            table=table,
        )
    ]


def converse(result: Result) -> list[Figure]:
    """Behavior and weight against turns."""
    half = result.values.get("turns_halfway")
    y = points(result, "behavior")[1]
    return [
        Figure(
            name="turns",
            title="Half of the way is not gone within the turns"
            if half is None
            else f"Half of the way is gone after {half:.1f} turns",
            caption="Behavior after the user's part of each turn, and the mean posterior weight of P-.",
            alt=f"Behavior goes from {y[0]:.2f} to {y[-1]:.2f} over {len(y) - 1} turns.",
            data=[*series(result, "behavior", "behavior"), *series(result, "bad_weight", "weight of P-", color=3)],
            layout=axes("turns", "behavior, weight", yaxis=BEHAVIOR),
            table=table_of(result, "turns"),
        )
    ]


def compare(result: Result) -> list[Figure]:
    """Two curves on the same prompts."""
    change = result.values.get("halfway_change")
    return [
        Figure(
            name="alignment",
            title="Behavior before and after alignment"
            if change is None
            else f"Alignment moves the half-way length by {change:+.2f} sentences",
            caption="Behavior after so many sentences drawn from P-; both models read the same prompts.",
            alt="Two curves of behavior against prompt length, before and after alignment.",
            data=[
                *series(result, "behavior", "before", group="before"),
                *series(result, "behavior", "after", group="after", color=2),
            ],
            layout=axes("sentences from P-", "behavior", yaxis=BEHAVIOR),
            table=table_of(result, "models"),
        )
    ]
