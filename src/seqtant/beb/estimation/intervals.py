"""Intervals of numbers over prompts: resampled, with the other stops, for the extreme of many means, by Wilson."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy import stats

from seqtant.beb.behavior.scorer_calibration import ScorerCheck
from seqtant.findings import Estimate
from seqtant.stats.intervals import share


def interval(
    value: float, draws: list[float], count: int, unit: str, scorer_check: ScorerCheck | None = None
) -> Estimate:
    """A percentile interval whose upper end is open where resamples never got there.

    Args:
        value: The number.
        draws: The same of resampled prompts; with a check, each also with rates of the scorer that it leaves possible.
        count: Number of prompts.
        unit: Unit of the number.
        scorer_check: How the scorer did on answers that people judged.
    """
    low, high = np.quantile(np.asarray(draws), [0.025, 0.975], method="inverted_cdf")
    return Estimate(
        value=value,
        low=float(min(low, value)),
        high=float(max(high, value)) if math.isfinite(high) else None,
        method="bootstrap over prompts" + (" and scorer's check" if scorer_check else ""),
        n=count,
        unit=unit,
    )


def widened(estimate: Estimate, down: float, up: float) -> Estimate:
    """An interval with what other stops would have made of the number; the bootstrap alone knows nothing of it.

    Args:
        estimate: The number; an infinite one stays as it is.
        down: How far below it other stops read.
        up: How far above.
    """
    if not math.isfinite(estimate.value):
        return estimate
    low = None if estimate.low is None else estimate.low - down
    high = None if estimate.high is None or not math.isfinite(up) else estimate.high + up
    return replace(estimate, low=low, high=high, method=f"{estimate.method} and stops")


def simultaneous(divergence: Float[np.ndarray, "prompts sentences"], value: float, which: str) -> Estimate:
    """An interval for the least or largest of many means: each mean's own, widened for their number (Bonferroni)."""
    count, sentences = divergence.shape
    half = stats.t.ppf(1 - 0.025 / sentences, count - 1) * divergence.std(axis=0, ddof=1) / math.sqrt(count)
    pick = np.min if which == "least" else np.max
    low, high = (float(pick(divergence.mean(axis=0) + sign * half)) for sign in (-1, 1))
    return Estimate(
        value=value,
        low=min(low, value),
        high=max(high, value),
        method="Student t, Bonferroni over sentences",
        n=count,
        unit="nats",
    )


def worst_behavior(scores: np.ndarray) -> Estimate:
    """The largest mean behavior of P- over prompt lengths (gamma), with an interval that holds for all of them.

    Wilson's where every score is -1 or 1; otherwise the empirical Bernstein bound of Maurer and Pontil (2009).

    Args:
        scores: From -1 to 1, (prompts, places).
    """
    count, places = scores.shape
    worst = scores[:, int(scores.mean(axis=0).argmax())]
    level = 1 - 0.05 / places
    if np.isin(scores, (-1.0, 1.0)).all():
        good = share(int((worst > 0).sum()), count, level=level)
        ends = {name: None if end is None else 2 * end - 1 for name, end in (("low", good.low), ("high", good.high))}
        return replace(good, value=2 * good.value - 1, level=0.95, method="Wilson, Bonferroni over lengths", **ends)
    log_term = math.log(2 * 2 / (1 - level))
    half = math.sqrt(2 * worst.var(ddof=1) * log_term / count) + 2 * 7 * log_term / (3 * (count - 1))
    value = float(worst.mean())
    return Estimate(
        value=value,
        low=max(-1.0, value - half),
        high=min(1.0, value + half),
        method="empirical Bernstein, Bonferroni over lengths",
        n=count,
    )
