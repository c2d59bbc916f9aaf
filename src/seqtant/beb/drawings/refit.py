"""Draws the published curves: divergence and behavior against prompt length."""

from __future__ import annotations

from seqtant.beb.drawings.series import drawn, table_of
from seqtant.findings import Result
from seqtant.report.figures import Figure, axes


def figures(result: Result) -> list[Figure]:
    """The divergence with the paper's line through its first points, and the shares of good answers."""
    start, slope = (float(result.values[f"paper_{key}"] or 0.0) for key in ("log_inverse_alpha", "beta"))
    end = 1 + start / slope
    published = {"type": "scatter", "name": "the paper's line", "x": [1, end], "y": [start, 0], "mode": "lines"}
    return [
        Figure(
            name="divergence",
            title=f"The published divergences sum to {result.values['area']:.0f} nats, not to {start:.0f}",
            caption="Divergence of P- from the chat model; a mixture's could not sum to more than log(1/alpha), which "
            "the paper reads off where its line starts.",
            alt="A falling curve with a straight line through its first three points.",
            data=[*drawn(result, "divergence", "published"), published],
            layout=axes("sentences", "nats"),
            table=table_of(result, "lines"),
        ),
        Figure(
            name="behavior",
            title=f"The default system prompt delays by {result.values['guard_delay']:.1f} sentences",
            caption="Share of positive answers among 32, labeled by the authors, with and without a system prompt.",
            alt="Two falling curves; the guarded one lies to the right.",
            data=[
                *drawn(result, "positive", "no system prompt"),
                *drawn(result, "positive_guarded", "default system prompt", color=2),
            ],
            layout=axes("sentences", "share of positive answers"),
            table=table_of(result, "sigmoids"),
        ),
    ]
