"""From evidence to numbers: beta, variances, predicted behavior, half-way lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from seqtant.beb.theory import bad_weight

Curve = Float[np.ndarray, " places"]
Sums = Float[np.ndarray, "prompts places"]


def sums_so_far(values: Float[np.ndarray, "prompts sentences"]) -> Sums:
    """Sums over the first 0, 1, 2, ... sentences.

    Example:
        >>> sums_so_far(np.array([[1.0, 2.0]])).tolist()
        [[0.0, 1.0, 3.0]]
    """
    return np.concatenate([np.zeros((len(values), 1)), values.cumsum(axis=1)], axis=1)


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


def predicted_behavior(
    log_inverse_alpha: float,
    log_ratio: Float[np.ndarray, "prompts sentences"],
    minus: Float[np.ndarray, "prompts places"],
    plus: Float[np.ndarray, "prompts places"],
    places: Sequence[int],
) -> Curve:
    """Mean behavior of the mixture after so many sentences, from the log-ratios that the prompts really have.

    Args:
        log_inverse_alpha: log(1/alpha), in nats.
        log_ratio: Of P- against P+, per sentence.
        minus: Behavior of P- after each prompt's first sentences.
        plus: Behavior of P+ there.
        places: Numbers of sentences.
    """
    weight = bad_weight(-max(log_inverse_alpha, 1e-9), sums_so_far(log_ratio)[:, list(places)])
    return (weight * minus + (1 - weight) * plus).mean(axis=0)


def halfway_of(curve: Curve, bottom: float, places: Sequence[int]) -> float:
    """Sentences after which a curve has come half the way from its start to the bottom; infinite if it never does.

    Example:
        >>> halfway_of(np.array([1.0, 0.5, -0.5]), -1.0, (0, 1, 2))
        1.5
    """
    after = _crossing(curve, bottom)
    if after is None:
        return float("inf")
    goal, (high, low) = (curve[0] + bottom) / 2, curve[after - 1 : after + 1]
    return float(places[after - 1] + (places[after] - places[after - 1]) * (high - goal) / (high - low))


def halfway_by_prompt(
    model: Float[np.ndarray, "prompts places"], bottoms: Float[np.ndarray, " prompts"], places: Sequence[int]
) -> Float[np.ndarray, " prompts"] | None:
    """What each prompt has to do with the half-way length: numbers whose mean it is, and whose scatter is its error.

    To first order, a prompt that behaves better than the mean just there, or begins worse, puts the length off by the
    difference over the curve's slope (the influence function of the crossing).

    Args:
        model: Behavior of the model after each prompt's first sentences.
        bottoms: Mean behavior of P- along each.
        places: Numbers of sentences.

    Returns:
        Sentences, one number per prompt; None where the mean curve never comes half the way.

    Example:
        >>> curves = np.array([[1.0, 0.5, -0.5], [1.0, 0.3, -0.7]])
        >>> halfway_by_prompt(curves, np.array([-1.0, -1.0]), (0, 1, 2)).round(2).tolist()
        [1.5, 1.3]
        >>> halfway_of(curves.mean(axis=0), -1.0, (0, 1, 2))
        1.4
    """
    curve, bottom = model.mean(axis=0), float(bottoms.mean())
    after = _crossing(curve, bottom)
    if after is None:
        return None
    length = halfway_of(curve, bottom, places)
    gap = places[after] - places[after - 1]
    share = (length - places[after - 1]) / gap
    there = (1 - share) * model[:, after - 1] + share * model[:, after]
    return length + (there - (model[:, 0] + bottoms) / 2) * gap / (curve[after - 1] - curve[after])


def _crossing(curve: Curve, bottom: float) -> int | None:
    """The first place where a curve has come half the way; None if there is none, or it begins there."""
    below = np.flatnonzero(curve <= (curve[0] + bottom) / 2)
    return int(below[0]) if len(below) and below[0] > 0 else None
