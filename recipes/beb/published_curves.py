"""Fits the paper's published curves again, as it did and as its own theory asks; no model is run.

``python recipes/beb/published_curves.py`` shows both behaviors; ``--keep`` also writes the records that the claims
read, ``results/beb/published-*.json``. The numbers are those of the paper's figures, as its repository holds them:
Llama-2-13b-chat and its base model; conditional divergences in nats over tokens 2 to 8 of each continuation, variances
in nats^2, mean number of positive answers of 32.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from seqtant.beb import theory
from seqtant.beb.estimation.estimates import first_points_line
from seqtant.beb.study.reporting import DIRECTION, LIMITS
from seqtant.findings import Cell, Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.stats.fits import Fit, fit_curve

SOURCE = "data files of the paper's repository (yowolf/Limitations-of-Alignment-in-LLMs)"
EPS = 0.1
OF = 32
"""Answers behind each number of positive ones."""


@dataclass(frozen=True)
class Published:
    """The curves of one behavior."""

    chat: tuple[float, ...]
    """KL(P-(.|s) || chat model), 1 to 10 sentences."""
    pretrained: tuple[float, ...]
    """KL(P-(.|s) || base model)."""
    separation: tuple[float, float]
    """Least and largest KL(P- || P+), 1 to 15 sentences."""
    variances: tuple[tuple[int, float], ...]
    """Variance of the log-ratio by number of sentences."""
    positive: tuple[float, ...]
    """Positive answers of 32, without the model's default system prompt."""
    positive_guarded: tuple[float, ...]
    """Positive answers of 32, with it."""


CURVES = {
    "agreeableness": Published(
        chat=(30.82, 17.64, 9.67, 7.98, 7.11, 5.84, 5.34, 4.54, 3.85, 3.23),
        pretrained=(6.33, 3.44, 2.77, 2.35, 2.09, 2.07, 1.97, 1.70, 1.64, 1.48),
        separation=(22.72, 29.14),
        variances=((1, 45.63), (5, 104.81), (10, 180.98), (15, 240.28)),
        positive=(32, 29.1, 6.8, 2.0, 0.9, 0.9, 2.4, 0.3, 0.4, 0.8),
        positive_guarded=(32, 31.5, 17.3, 8.5, 5.6, 2.1, 3.7, 0.9, 0.9, 0.9),
    ),
    "anti-immigration": Published(
        chat=(18.47, 9.87, 6.84, 5.31, 3.25, 3.48, 2.77, 2.00, 1.78, 1.78),
        pretrained=(5.01, 3.32, 2.97, 2.39, 2.11, 1.83, 1.77, 1.65, 1.51, 1.22),
        separation=(12.48, 18.49),
        variances=((1, 75.75), (5, 210.84), (10, 305.97), (15, 402.60)),
        positive=(32, 30.9, 25.7, 20.3, 13.0, 8.7, 7.0, 3.9, 3.1, 2.8),
        positive_guarded=(32, 32, 31.2, 28.3, 23.4, 19.0, 16.2, 14.6, 8.3, 6.8),
    ),
}


class _Fitted:
    def __init__(self, curves: Published) -> None:
        n = list(range(1, len(curves.chat) + 1))
        self.chat, self.pretrained = first_points_line(curves.chat), first_points_line(curves.pretrained)
        # Least slope of a line through the origin above Var(n), of the lengths whose variance is published.
        self.sigma2 = max(variance / count for count, variance in curves.variances)
        self.plain = behavior_sigmoid(n, np.array(curves.positive) / OF)
        self.guarded = behavior_sigmoid(n, np.array(curves.positive_guarded) / OF)
        self.area = float(np.sum(curves.chat))


def behavior_sigmoid(sentences: Sequence[float], share_good: ArrayLike) -> Fit:
    """Fits Lemma 7's sigmoid 1 / (1 + exp(slope (n - center))) to shares of good answers."""
    shares = np.asarray(share_good, dtype=np.float64)

    # The fit starts where the shares pass one half.
    start = float(np.interp(-0.5, -shares, np.asarray(sentences, dtype=np.float64)))
    return fit_curve(
        lambda n, center, slope: 1 / (1 + np.exp(np.clip(slope * (n - center), -500, 500))),
        sentences,
        shares,
        start=[start, 1.0],
    )


def half_slope(beta: float, sigma: float, sentences: float) -> float:
    """Slope of the log-odds of the mean behavior per sentence at a half-way length, in nats: beta, smeared by sigma.

    Derived, with MacKay's approximation of the logistic-normal mean; Lemma 7 has beta itself.
    """
    return beta / math.sqrt(1 + math.pi * sigma**2 * sentences / 8)


def refit(series: str) -> Result:
    """Fits the curves of one behavior; both are tabulated.

    Returns:
        alpha and beta as the paper reads them off, the sum of the divergences, which a mixture bounds by log(1/alpha),
        and the sigmoids of the behavior with and without a system prompt.
    """
    context = Context(command="python recipes/beb/published_curves.py")
    with Recorder(
        "beb.published_curves", "The paper's curves, fitted again", {"series": series}, context, papers=(3,)
    ) as record:
        fitted = {name: _Fitted(curves) for name, curves in CURVES.items()}
        curves = CURVES[series]
        _record_series(record, series, curves, fitted[series])
        lines: list[tuple[Cell, ...]] = []
        for name, each in fitted.items():
            for model, line in (("chat", each.chat), ("pretrained", each.pretrained)):
                ratio = line.start / line.slope
                lines.append((f"{model} {name}", round(line.slope, 2), round(line.start, 2), round(ratio, 2)))
        columns = ("series", "slope: beta", "start: log(1/alpha)", "ratio, sentences")
        record.table("lines", "The line through the first three points", columns, lines, note=SOURCE)
        rows = [
            (name, guard, *(round(fit.estimate(part).value, 2) for part in ("center", "slope")))
            for name, each in fitted.items()
            for guard, fit in (("none", each.plain), ("default system prompt", each.guarded))
        ]
        record.table(
            "sigmoids", "The sigmoid of the behavior", ("series", "guard", "half-way", "slope"), rows, note=SOURCE
        )
        for n, value in enumerate(curves.chat, start=1):
            record.measure("divergence", value, unit="nats", step=n)
            record.measure("positive", curves.positive[n - 1] / OF, step=n)
            record.measure("positive_guarded", curves.positive_guarded[n - 1] / OF, step=n)
        rows = [(limit.statement, limit.status, limit.how) for limit in LIMITS]
        record.table("scope", "What these numbers rest on", ("assumption", "status", "why"), rows, note=DIRECTION)
    return record.result


def _record_series(record: Recorder, name: str, curves: Published, fitted: _Fitted) -> None:
    """Records the numbers of one behavior, and how they compare with the theory."""
    chat, base = fitted.chat, fitted.pretrained
    center, slope = (fitted.plain.estimate(part, unit=unit) for part, unit in (("center", "sentences"), ("slope", "")))
    guarded = fitted.guarded.estimate("center").value
    smeared = half_slope(chat.slope, math.sqrt(fitted.sigma2), center.value)
    for key, value in {
        "paper_beta": chat.slope,
        "paper_log_inverse_alpha": chat.start,
        "paper_ratio": chat.start / chat.slope,
        "pretrained_beta": base.slope,
        "pretrained_log_inverse_alpha": base.start,
        "pretrained_ratio": base.start / base.slope,
        "beta_factor": chat.slope / base.slope,
        "sigma2": fitted.sigma2,
        "sigma_over_beta": math.sqrt(fitted.sigma2) / curves.separation[0],
        "beta_prime_over_beta": curves.separation[1] / curves.separation[0],
        "halfway": center.value,
        "halfway_slope": slope.value,
        "halfway_guarded": guarded,
        "guard_delay": guarded - center.value,
        "area": fitted.area,
        # The bound of Theorem 1 with the paper's own alpha and beta.
        "misalign": theory.misalign(-chat.start, chat.slope, EPS).sentences,
        "slope_predicted_one_prompt": chat.slope,
        "slope_predicted_average": smeared,
    }.items():
        record.value(key, value)
    record.finding(
        "mixture",
        f"Is the published curve of {name} that of a mixture with the published log(1/alpha)?",
        "disagrees",
        f"No: ten divergences sum to {fitted.area:.1f} nats, and those of a mixture cannot sum to more than "
        f"log(1/alpha), read there as {chat.start:.1f}; after ten sentences {curves.chat[-1]:.2f} nats are left in "
        "each.",
        predicted=Estimate(value=chat.start, high=chat.start, unit="nats", method="largest possible sum"),
        measured=Estimate.exact(fitted.area, unit="nats", method="sum of ten published means"),
        advice="A fitted P- is a proxy of what the model holds: take the area above the floor, and look at the gate.",
    )
    record.finding(
        "slope",
        f"How steep is the published behavior of {name} at its half-way length?",
        "agrees" if 0.25 <= smeared / slope.value <= 4 else "disagrees",
        f"{slope.value:.2f} per sentence; Lemma 7 for one prompt has {chat.slope:.2f}, the average over prompts "
        f"with the published variance {smeared:.2f}: averaging explains the order of magnitude.",
        predicted=Estimate.exact(smeared, method="logistic-normal average"),
        measured=slope,
    )


if __name__ == "__main__":
    for name in CURVES:
        result = refit(name)
        sys.stdout.write(f"{result}\n")
        if "--keep" in sys.argv:
            result.save(Path(__file__).parents[2] / "results" / "beb" / f"published-{name}.json")
