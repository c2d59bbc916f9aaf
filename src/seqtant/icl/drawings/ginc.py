"""Draws accuracy on prompts of GINC by number of shots."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result
from seqtant.icl.drawings.series import groups, points, table_of
from seqtant.report.figures import Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """One line per kind of answers, and the course of the training if there was one."""
    names = groups(result, "accuracy")
    data: list[dict[str, Any]] = []
    for color, name in enumerate(names):
        x, y = points(result, "accuracy", name)
        low, high = (points(result, f"accuracy_{end}", name)[1] for end in ("low", "high"))
        data += line(x, y, name, color=color, low=low, high=high)
    drawn = [
        Figure(
            name="accuracy",
            title="Accuracy in context by number of shots",
            caption="Share of prompts whose likeliest symbol is the right one, with Wilson's 95 % interval.",
            alt=f"Accuracy against shots: {', '.join(names)}.",
            data=data,
            layout=axes("shots", "accuracy", yaxis={"range": [0, 1.02]}, xaxis={"rangemode": "tozero"}),
            table=table_of(result, "accuracy"),
        )
    ]
    if not result.series("training_loss"):
        return drawn
    x, y = points(result, "training_loss", "")
    return [
        *drawn,
        Figure(
            name="training",
            title="The course of the training",
            caption="Loss of single batches; the dashed line is the exact Bayes predictor's.",
            alt=f"Training loss at {len(x)} steps.",
            data=[
                *line(x, y, "training loss", mode="lines"),
                *line([x[0], x[-1]], [float(result.values["bayes_cross_entropy"] or 0)] * 2, "exact Bayes", color=1,
                      dash="dash", mode="lines"),
            ],
            layout=axes("step", "nats per symbol"),
            table=table_of(result, "accuracy"),
        ),
    ]  # fmt: skip
