"""From evidence to numbers: log(1/alpha), beta, variances, half-way lengths; also on resampled prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from seqtant.beb.evidence import Evidence
from seqtant.beb.theory import bad_weight

TAIL = 1 / 3
"""Share of the sentences, at the end of the prompts, whose unexplained divergence is the floor."""
FLATTEST = -0.2
"""Slope of the equation for log(1/alpha) above which its solution would multiply every error by more than five: the
prompts are too short to tell a floor from what is still to come."""
_ROUNDS = 40
_STEP = 2.0

Curve = Float[np.ndarray, " places"]


@dataclass(frozen=True)
class Area:
    """log(1/alpha), read off the divergence of P- from the model."""

    value: float
    """log(1/alpha): the area above the floor and what is left of it beyond the prompts, in nats."""
    raw: float
    """The area under the divergence as far as the prompts go, in nats: at most log(1/alpha) for an exact mixture."""
    floor: float
    """Divergence that no mixture explains, in nats per sentence: what P- has and the model has not."""
    beyond: float
    """What of the area lies beyond the prompts, in nats."""


def read_area(to_model: Evidence, to_plus: Evidence | None) -> Area:
    """log(1/alpha) by the chain rule: the divergences of all sentences from the model sum to it.

    Three refinements of the plain area make it as exact as the prompts allow. The summed divergences and the summed
    log-ratio of a prompt have the same mean, and their combination of least variance is taken. What the prompts have
    not yet shown is the mean of -log w-, which the log-ratio against P+ gives. And the floor is what the last sentences
    have beyond what a mixture of that weight would: for an exact mixture it is 0 on every single prompt. The weight
    that enters both is found by Newton's method. Without a P+ of its own (it is the model itself), or where the prompts
    are too short to solve for it, the mean divergence of the last sentences is the floor, and nothing is added.

    Args:
        to_model: Evidence of P- against the model.
        to_plus: Evidence of P- against P+, along the same prompts; None where P+ is the model.
    """
    divergence, ratio = to_model.divergence, to_model.log_ratio
    sentences = divergence.shape[1]
    tail = max(2, round(TAIL * sentences))
    raw = float(least_variance(ratio.sum(axis=1), divergence.sum(axis=1)).mean())
    least = float(divergence[:, -tail:].mean())
    plain = Area(raw - least * sentences, raw, least, 0.0)
    if to_plus is None:
        return plain
    value, known = raw, to_plus.log_ratio.cumsum(axis=1)
    for _ in range(_ROUNDS):
        weight = np.maximum(bad_weight(-max(value, 1e-6), known[:, [-1 - tail, -1]]), 1e-300)
        log_weight, lighter = np.log(weight), 1 - weight.mean(axis=0)
        expected = (log_weight[:, 1] - log_weight[:, 0]) / tail
        unexplained = ratio[:, -tail:].mean(axis=1) - expected
        smoother = divergence[:, -tail:].mean(axis=1) - expected.mean()
        floor, beyond = float(least_variance(unexplained, smoother).mean()), float(-log_weight[:, 1].mean())
        whole = least_variance(ratio.sum(axis=1) - log_weight[:, 1], divergence.sum(axis=1) + beyond)
        gap = float(whole.mean()) - floor * sentences - value
        if abs(gap) < 1e-10:
            return Area(value, float(whole.mean()) - beyond, floor, beyond)
        slope = -1 + lighter[1] + sentences / tail * (lighter[0] - lighter[1])
        if slope > FLATTEST:
            return plain
        value += float(np.clip(-gap / slope, -_STEP, _STEP))
    return plain


def least_variance(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The combination of two paired readings with the same mean that scatters least, weights within 0 to 1.

    Example:
        >>> least_variance(np.array([1.0, 1.0, 1.0]), np.array([0.0, 1.0, 2.0])).tolist()
        [1.0, 1.0, 1.0]
    """
    apart = second - first
    spread = apart.var()
    if spread == 0:
        return first
    share = -np.mean((first - first.mean()) * (apart - apart.mean())) / spread
    return first + np.clip(share, 0.0, 1.0) * apart


def least_divergence(divergence: Float[np.ndarray, "prompts sentences"]) -> float:
    """The least mean divergence over sentences, without the bias of picking the least of noisy means.

    Half of the prompts pick the sentence, the other half measure it, and the other way round.
    """
    return _picked(divergence, np.argmin)


def largest_divergence(divergence: Float[np.ndarray, "prompts sentences"]) -> float:
    """The largest mean divergence over sentences, likewise."""
    return _picked(divergence, np.argmax)


def _picked(divergence: np.ndarray, pick: object) -> float:
    halves = [divergence[start::2].mean(axis=0) for start in (0, 1)]
    return float(np.mean([halves[1 - side][pick(halves[side])] for side in (0, 1)]))  # type: ignore[operator]


def variance_curve(log_ratio: Float[np.ndarray, "prompts sentences"]) -> Float[np.ndarray, " sentences"]:
    """Variance over prompts of the log-ratio of the first n sentences, over n, for n = 1, 2, ..."""
    sums = log_ratio.cumsum(axis=1)
    return sums.var(axis=0, ddof=1) / np.arange(1, sums.shape[1] + 1)


def variance_slope(log_ratio: Float[np.ndarray, "prompts sentences"]) -> float:
    """Variance that a further sentence adds, over the later half: the supremum is often set by the first sentence."""
    sums = log_ratio.cumsum(axis=1).var(axis=0, ddof=1)
    n = np.arange(1, sums.size + 1)
    late = n > sums.size // 2
    return float(np.polyfit(n[late], sums[late], 1)[0])


def predicted_behaviour(
    log_inverse_alpha: float,
    log_ratio: Float[np.ndarray, "prompts sentences"],
    minus: Float[np.ndarray, "prompts places"],
    plus: Float[np.ndarray, "prompts places"],
    places: Sequence[int],
) -> Curve:
    """Mean behaviour of the mixture after so many sentences, from the log-ratios that the prompts really have.

    Args:
        log_inverse_alpha: log(1/alpha), in nats.
        log_ratio: Of P- against P+, per sentence.
        minus: Behaviour of P- after each prompt's first sentences.
        plus: Behaviour of P+ there.
        places: Numbers of sentences.
    """
    ratios = np.concatenate([np.zeros((len(log_ratio), 1)), log_ratio.cumsum(axis=1)], axis=1)[:, list(places)]
    weight = bad_weight(-max(log_inverse_alpha, 1e-9), ratios)
    return (weight * minus + (1 - weight) * plus).mean(axis=0)


def halfway_of(curve: Curve, bottom: float, places: Sequence[int]) -> float:
    """Sentences after which a curve has come half the way from its start to the bottom; infinite if it never does.

    Example:
        >>> halfway_of(np.array([1.0, 0.5, -0.5]), -1.0, (0, 1, 2))
        1.5
    """
    goal = (curve[0] + bottom) / 2
    below = np.flatnonzero(curve <= goal)
    if not len(below) or below[0] == 0:
        return float("inf")
    after = int(below[0])
    high, low = curve[after - 1], curve[after]
    return float(places[after - 1] + (places[after] - places[after - 1]) * (high - goal) / (high - low))
