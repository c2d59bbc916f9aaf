"""Estimates from evidence and curves, with intervals: beta, variances, predicted behavior, half-way lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import stdtrit  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from seqtant.beb.behavior.reader import ScorerCheck
from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.stats.intervals import share

Curve = Float[np.ndarray, " lengths"]
Sums = Float[np.ndarray, "prompts lengths"]
POINTS = 3
"""Points of the paper's line."""


def cumulative_sums(values: Float[np.ndarray, "prompts sentences"]) -> Sums:
    """Sums over the first 0, 1, 2, ... sentences."""
    return np.concatenate([np.zeros((len(values), 1)), values.cumsum(axis=1)], axis=1)


def extreme_divergence(divergence: Float[np.ndarray, "prompts sentences"], which: Literal["least", "largest"]) -> float:
    """The least or largest mean divergence over sentences, without the bias of picking the extreme of noisy means.

    Half of the prompts pick the sentence, the other half measure it, and the other way round.
    """
    # Cross-fitting: the noise that picks a sentence is not the noise that measures it.
    pick = np.argmin if which == "least" else np.argmax
    first, second = (divergence[start::2].mean(axis=0) for start in (0, 1))
    return float(np.mean([second[pick(first)], first[pick(second)]]))


def variance_curve(log_ratio: Float[np.ndarray, "prompts sentences"]) -> Float[np.ndarray, " sentences"]:
    """Variance over prompts of the log-ratio of the first n sentences, over n, for n = 1, 2, ..."""
    sums = log_ratio.cumsum(axis=1)
    return sums.var(axis=0, ddof=1) / np.arange(1, sums.shape[1] + 1)


def variance_slope(log_ratio: Float[np.ndarray, "prompts sentences"]) -> float:
    """Variance that a further sentence adds, over the later half: the supremum is often set by the first sentence."""
    sums = log_ratio.cumsum(axis=1).var(axis=0, ddof=1)
    n = np.arange(1, sums.size + 1)
    # Var(n) is a line for late n; its slope leaves out what the first sentences add once.
    late = n > sums.size // 2
    return float(np.polyfit(n[late], sums[late], 1)[0])


@dataclass(frozen=True)
class Line:
    """The least-squares line through the first points of a divergence."""

    start: float
    """Its value at the first point, one sentence: what the paper takes for log(1/alpha), in nats."""
    slope: float
    """How much it falls per sentence: what the paper takes for beta, in nats."""


def first_points_line(divergence: ArrayLike) -> Line:
    """Fits the paper's line to KL(P-(.|s) || P(.|s)) over prompt lengths 1, 2, ... (Section 4.1).

    For a mixture the divergence is a plateau near beta that drops where log(1/alpha) is used up, so neither number
    need be what it is called.
    """
    values = np.asarray(divergence, dtype=np.float64)
    if values.size < POINTS:
        raise InputError(f"the paper's line needs {POINTS} points: got {values.size}")
    # Points are counted from 0, so the height is the value at one sentence.
    slope, height = np.polyfit(np.arange(POINTS), values[:POINTS], 1)
    return Line(float(height), float(-slope))


def halfway_length(curve: Curve, bottom: float, lengths: Sequence[int]) -> float:
    """Sentences after which a curve has come half the way from its start to the bottom; infinite if it never does."""
    after = _first_below(curve, bottom)
    if after is None:
        return float("inf")
    # Linear between the two lengths around the crossing.
    # The curve falls here, so high - low is positive and the share lies in [0, 1].
    goal, (high, low) = (curve[0] + bottom) / 2, curve[after - 1 : after + 1]
    return float(lengths[after - 1] + (lengths[after] - lengths[after - 1]) * (high - goal) / (high - low))


def halfway_contributions(
    model: Float[np.ndarray, "prompts lengths"], bottoms: Float[np.ndarray, " prompts"], lengths: Sequence[int]
) -> Float[np.ndarray, " prompts"] | None:
    """Per-prompt influence values of the half-way length: their mean is the length, their scatter its error.

    To first order, a prompt that behaves better than the mean just there, or begins worse, puts the length off by the
    difference over the curve's slope (the influence function of the crossing).

    Example:
        >>> curves = np.array([[1.0, 0.5, -0.5], [1.0, 0.3, -0.7]])
        >>> halfway_contributions(curves, np.array([-1.0, -1.0]), (0, 1, 2)).round(2).tolist()
        [1.5, 1.3]
        >>> halfway_length(curves.mean(axis=0), -1.0, (0, 1, 2))
        1.4
    """
    curve, bottom = model.mean(axis=0), float(bottoms.mean())
    after = _first_below(curve, bottom)
    if after is None:
        return None
    length = halfway_length(curve, bottom, lengths)
    gap = lengths[after] - lengths[after - 1]
    share = (length - lengths[after - 1]) / gap
    # Each prompt's behavior at the crossing, against its own half-way level, over the slope of the mean curve.
    there = (1 - share) * model[:, after - 1] + share * model[:, after]
    return length + (there - (model[:, 0] + bottoms) / 2) * gap / (curve[after - 1] - curve[after])


def _first_below(curve: Curve, bottom: float) -> int | None:
    """Index where a curve has first come half the way; None if there is none, or it begins there."""
    below = np.flatnonzero(curve <= (curve[0] + bottom) / 2)
    return int(below[0]) if len(below) and below[0] > 0 else None


def bootstrap_interval(
    value: float, resampled: list[float], count: int, unit: str, check: ScorerCheck | None = None
) -> Estimate:
    """A percentile interval whose upper end is open where resamples are infinite."""
    # An order statistic, since interpolation between a finite and an infinite value has no meaning.
    low, high = np.quantile(np.asarray(resampled), [0.025, 0.975], method="inverted_cdf")
    return Estimate(
        value=value,
        low=float(min(low, value)),
        high=float(max(high, value)) if math.isfinite(high) else None,
        method="bootstrap over prompts" + (" and scorer's check" if check else ""),
        n=count,
        unit=unit,
    )


def widen(estimate: Estimate, down: float, up: float) -> Estimate:
    """Widens an interval by what other stops would have made of the number, which the bootstrap does not see."""
    if not math.isfinite(estimate.value):
        return estimate
    # An open end stays open; an infinite width opens it.
    low = None if estimate.low is None else estimate.low - down
    high = None if estimate.high is None or not math.isfinite(up) else estimate.high + up
    return replace(estimate, low=low, high=high, method=f"{estimate.method} and stops")


def extreme_interval(
    divergence: Float[np.ndarray, "prompts sentences"], value: float, which: Literal["least", "largest"]
) -> Estimate:
    """An interval for the least or largest of many means: each mean's own, widened for their number (Bonferroni)."""
    count, sentences = divergence.shape
    # Each mean at level 1 - 0.05 / sentences, so that all intervals hold together at 95 %.
    half = stdtrit(count - 1, 1 - 0.025 / sentences) * divergence.std(axis=0, ddof=1) / math.sqrt(count)
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

    Wilson's where every score is -1 or 1; otherwise the empirical Bernstein bound of Maurer and Pontil (2009):
    sqrt(2 var log(2/d) / n) + 7 R log(2/d) / (3 (n - 1)), R = 2 the range and d the level of each side.
    """
    count, lengths = scores.shape
    worst = scores[:, int(scores.mean(axis=0).argmax())]
    level = 1 - 0.05 / lengths
    if np.isin(scores, (-1.0, 1.0)).all():
        # For two values the mean is 2 share - 1, and so are the ends of the interval.
        good = share(int((worst > 0).sum()), count, level=level)
        ends = {name: None if end is None else 2 * end - 1 for name, end in (("low", good.low), ("high", good.high))}
        return replace(good, value=2 * good.value - 1, level=0.95, method="Wilson, Bonferroni over lengths", **ends)
    # Two sides share the error 1 - level, so each has d = (1 - level) / 2 and log(2 / d) = log(4 / (1 - level)).
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
