"""log(1/alpha) as the area under a divergence, read at several stops: a mixture gives the same number at each.

Let R_n be the log-ratio of P- against the model after n sentences, L_n that against P+, and w_n the weight of P- after
them (Eq. 10). For an exact mixture R_n - log w_n = log(1/alpha) on every prompt and for every n; so its mean is
log(1/alpha) wherever prompts are stopped, as long as what decides is the text so far. For any other model, two stops
read numbers that differ by just what the model's errors add up to between them. Errors before the first stop cannot be
seen in this way: up to there the model is a mixture of another alpha.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

from seqtant.beb.estimation.curves import Sums, sums_so_far
from seqtant.beb.prompts.divergence import Evidence
from seqtant.beb.theory import bad_weight

TAIL = 1 / 3
"""Share of the sentences, at the end of the prompts, whose unexplained divergence is the floor."""
FLATTEST = -0.2
"""Slope of the equation for log(1/alpha) above which its solution would multiply every error by more than five: the
prompts are too short to tell a floor from what is still to come."""
EVEN, TAKEN_OVER = 0.5, 0.75
"""Weights of P- at which prompts are stopped, beside their ends; at the second log(1/alpha) is read."""
_ROUNDS = 40
_STEP = 2.0
_REACHES = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Distances from the first reading within which another is looked for, in nats: of several solutions, the nearest."""


@dataclass(frozen=True)
class Area:
    """log(1/alpha), read off the divergence of P- from the model."""

    value: float
    """log(1/alpha): the area above the floor until P- has taken over, and what its weight then lacks, in nats."""
    raw: float
    """The area under the divergence as far as the prompts go, in nats: at most log(1/alpha) for an exact mixture."""
    floor: float
    """Divergence that no mixture explains, in nats per sentence: what P- has and the model has not."""
    beyond: float
    """What of the area lies beyond the prompts, in nats."""
    others: tuple[float, ...] | None = None
    """log(1/alpha) as the other stops have it: when P- is as likely as P+, and at the end of the prompts. None where
    there is but one reading."""

    @property
    def systematic(self) -> float | None:
        """Largest distance to another stop's reading, in nats: 0 for an exact mixture. None where there is none."""
        return max((abs(other - self.value) for other in self.others or ()), default=None)

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest reading."""
        readings = (self.value, *(self.others or ()))
        return min(readings), max(readings)


def read_area(to_model: Evidence, to_plus: Evidence | None) -> Area:
    """log(1/alpha) by the chain rule: the divergences of all sentences from the model sum to it.

    The end of the prompts gives a first reading and the floor, see :func:`_read_whole`. With them, prompts are stopped
    where the weight of P- passes :data:`EVEN` and :data:`TAKEN_OVER`, and the area up to there is read: a model that
    never becomes quite sure of P- adds to the area for ever, but not yet there. Without a P+ of its own (it is the
    model itself), or where the prompts are too short, the plain area above the floor is all there is.

    Args:
        to_model: Evidence of P- against the model.
        to_plus: Evidence of P- against P+, along the same prompts; None where P+ is the model.
    """
    whole = _read_whole(to_model, to_plus)
    if to_plus is None or whole.others is None:
        return whole
    sums = tuple(sums_so_far(each) for each in (to_model.log_ratio, to_model.divergence, to_plus.log_ratio))
    weight = bad_weight(-max(whole.value, 1e-6), sums[2])
    early, value = (_read_stopped(sums, _stops(weight, least), whole) for least in (EVEN, TAKEN_OVER))
    if early is None or value is None:
        return whole
    return replace(whole, value=value, others=(early, whole.value))


def _read_whole(to_model: Evidence, to_plus: Evidence | None) -> Area:
    """The reading at the end of the prompts, and the floor.

    Three refinements of the plain area make it as exact as the prompts allow. The summed divergences and the summed
    log-ratio of a prompt have the same mean, and their combination of least variance is taken. What the prompts have
    not yet shown is the mean of -log w-, which the log-ratio against P+ gives. And the floor is what the last sentences
    have beyond what a mixture of that weight would: for an exact mixture it is 0 on every single prompt. The weight
    that enters both is found by Newton's method.
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
            return Area(value, float(whole.mean()) - beyond, floor, beyond, others=())
        slope = -1 + lighter[1] + sentences / tail * (lighter[0] - lighter[1])
        if slope > FLATTEST:
            return plain
        value += float(np.clip(-gap / slope, -_STEP, _STEP))
    return plain


def _stops(weight: Sums, least: float) -> np.ndarray:
    """Sentences after which P- has so much weight, per prompt; all of them where it never has."""
    there = weight >= least
    return np.where(there.any(axis=1), there.argmax(axis=1), weight.shape[1] - 1)


def _read_stopped(sums: tuple[Sums, ...], stops: np.ndarray, whole: Area) -> float | None:
    """log(1/alpha) by which the area up to the stops is that of a mixture; None where no alpha does.

    Args:
        sums: Log-ratio against the model, divergence from it, log-ratio against P+.
        stops: Where each prompt stops.
        whole: The reading at the end of the prompts: its floor is left out, and the answer is looked for around it.
    """
    ratio, divergence, known = (each[np.arange(len(stops)), stops] for each in sums)
    surplus = whole.floor * stops.mean()

    def gap(value: float) -> float:
        log_weight = np.log(np.maximum(bad_weight(-value, known), 1e-300))
        read = least_variance(ratio - log_weight, divergence - log_weight)
        return float(read.mean()) - surplus - value

    for reach in _REACHES:
        low, high = max(whole.value - reach, 1e-6), max(whole.value, 0.0) + reach
        if gap(low) >= 0 >= gap(high):
            return float(brentq(gap, low, high, xtol=1e-10))  # type: ignore[arg-type]
    return None


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
