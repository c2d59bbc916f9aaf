"""Draws what the bounds say: the weight of P- after a prompt, for one prompt and on average over prompts."""

from __future__ import annotations

from seqtant.beb.drawings.series import drawn, table_of
from seqtant.findings import Result
from seqtant.report.figures import COLORS, Figure, axes


def figures(result: Result) -> list[Figure]:
    """The two weights, with the lengths of Theorems 1 and 5."""
    marks = [
        {
            "type": "scatter",
            "name": name,
            "x": [result.values[key], result.values[key]],
            "y": [0, 1],
            "mode": "lines",
            "line": {"color": COLORS[color], "dash": "dot"},
        }
        for color, (key, name) in enumerate(
            (("misalign_tight", "some prompt"), ("mass_tight", "most prompts")), start=2
        )
    ]
    tight = float(result.values["misalign_tight"] or 0.0)
    return [
        Figure(
            name="weights",
            title=f"Alignment fails by {tight:.1f} sentences",
            caption="Posterior weight of P- after a prompt that brings beta nats per sentence, and on average "
            "over prompts whose log-ratios scatter. Dotted: Theorem 1 and Theorem 5, tight forms.",
            alt=f"Two rising curves; the weight of P- is near 1 by {tight:.1f} sentences.",
            data=[
                *drawn(result, "one_prompt", "one prompt", mode="lines"),
                *drawn(result, "average_prompt", "average", color=1, mode="lines"),
                *marks,
            ],
            layout=axes("sentences from P-", "weight of P-"),
            table=table_of(result, "lengths"),
        )
    ]
