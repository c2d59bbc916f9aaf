"""Draws a diagnosis: what should grow in proportion to the strength, beside the straight lines."""

from __future__ import annotations

from seqtant.findings import Result, Table
from seqtant.report.figures import Figure, axes, line
from seqtant.steering.drawings.series import points


def figures(result: Result) -> list[Figure]:
    """Norm of the logits' change and noise of wrong answers."""
    strengths, norms = points(result, "logit_norm")
    _, noise = points(result, "noise")
    slopes = {"norm": result.values.get("norm_slope"), "noise": result.values.get("noise_slope")}
    data = line(strengths, norms, "change of the logits (norm)", color=0)
    if noise:
        data += line(strengths, noise, "noise on wrong answers (deviation)", color=1)
    for color, (name, slope) in enumerate(slopes.items()):
        if slope is not None:
            straight = [slope * value for value in strengths]
            data += line(strengths, straight, f"{name}, in proportion", color=color, dash="dash", mode="lines")
    reach = float(result.values.get("norm_range") or 0)
    columns = ("strength", "norm of the change") + (("noise",) if noise else ())
    rows = list(zip(strengths, norms, noise, strict=True)) if noise else list(zip(strengths, norms, strict=True))
    return [
        Figure(
            name="assumptions",
            title=f"The logits change in proportion to the strength up to {reach:.3g}",
            caption="Both quantities should follow their dashed lines where the theory applies.",
            alt=f"Norm of the logits' change and noise on wrong answers at {len(strengths)} strengths.",
            data=data,
            layout=axes("strength (length in the hidden space)", "nats"),
            table=Table(name="assumptions", title="What was measured", columns=columns, rows=tuple(rows)),
        )
    ]
