"""Draws the course of a training."""

from __future__ import annotations

from seqtant.findings import Result, Table
from seqtant.report.figures import Figure, axes, line
from seqtant.steering.drawings.series import points


def figures(result: Result) -> list[Figure]:
    """Training loss against the step, beside the loss on held-out text."""
    steps, losses = points(result, "loss")
    held_out = float(result.values["held_out_loss"] or 0)
    return [
        Figure(
            name="training",
            title=f"{held_out:.2f} nats per token on texts that the model never saw",
            caption="Training loss, averaged over blocks of steps; the dashed line is the held-out loss at the end.",
            alt=f"Training loss from {losses[0]:.2f} to {losses[-1]:.2f} nats per token over {steps[-1]:.0f} steps.",
            data=[
                *line(steps, losses, "training", color=0),
                *line([steps[0], steps[-1]], [held_out] * 2, "held out", color=1, dash="dash", mode="lines"),
            ],
            layout=axes("step", "nats per token"),
            table=Table(
                name="training",
                title="Training loss",
                columns=("step", "loss"),
                rows=tuple(zip(steps, losses, strict=True)),
            ),
        )
    ]
