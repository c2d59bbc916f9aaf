"""Draws the measured curve with every predicted one on top."""

from __future__ import annotations

from seqtant.beb.drawings import measure
from seqtant.beb.drawings.series import drawn, points, table_of
from seqtant.findings import Result
from seqtant.report.figures import Figure, axes, line

LAWS = (("exact", "exact"), ("logistic_normal", "logistic-normal"), ("bayes", "Bayesian law"), ("lemma_7", "Lemma 7"))


def figures(result: Result) -> list[Figure]:
    """The laws beside the measured behavior; without a log(1/alpha) only what was measured."""
    if not points(result, "exact")[0]:
        return measure.figures(result)
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
                    for trace in drawn(result, key, name, color=color, mode="lines")
                ),
            ],
            layout=axes("sentences from P-", "behavior", yaxis={"range": [-1.05, 1.05]}),
            table=table_of(result, "laws"),
        ),
        measure.divergence(result),
    ]
