"""Draws a measurement: behavior against prompt length, predicted and measured; and the area that is log(1/alpha)."""

from __future__ import annotations

from seqtant.beb.drawings.series import drawn, points, table_of
from seqtant.findings import Result
from seqtant.report.figures import Figure, axes, line


def figures(result: Result) -> list[Figure]:
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
            *drawn(result, "predicted", "predicted", color=1, dash="dash", mode="lines"),
            *drawn(result, "minus", "P- itself", color=3, dash="dot", mode="lines"),
        ],
        layout=axes("sentences from P-", "behavior", yaxis={"range": [-1.05, 1.05]}),
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
            *drawn(result, "separation", "from P+", color=1),
        ],
        layout=axes("sentence", "nats", yaxis={"rangemode": "tozero"}),
        table=table_of(result, "curve"),
    )
