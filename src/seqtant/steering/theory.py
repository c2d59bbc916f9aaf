"""Closed forms of the alignment-helpfulness trade-off, and their fits: what a strength gains, costs, where to stop.

Source: Y. Wolf, N. Wies, D. Shteyman, B. Rothberg, Y. Levine, A. Shashua, "Tradeoffs Between Alignment and Helpfulness
in Language Models with Steering Methods" (arXiv 2401.16332). Theorem 1 bounds alignment, Theorem 2 helpfulness. Their
wording is recalled, not read; the functional forms are those the authors fit in their code, and every constant below is
derived here and tested on random instances.

Letters:
    r        steering strength: every steered block adds r times its unit vector to its output
    B        alignment in [-1, 1]: mass of good replies minus mass of bad ones, over their sum; B_0 at r = 0
    P        probability of the correct answer; P_0 at r = 0, W = (1 - P_0) / P_0
    Delta    margin: least (change of a good logit - change of a bad logit) per unit of strength, lambda absorbed
    sigma    standard deviation over questions of (change of a wrong logit - change of the correct one), per unit r
    L, Q     log(P / P_0) = L r + Q r^2 near 0; both count losses as negative
    eps      budget: the share of P_0 that may be lost
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.stats.fits import Fit, fit_curve

Array = NDArray[np.float64]

LINEAR = "A1: the change of the logits grows linearly with the strength"
MARGIN = "A2: every good reply gains on every bad one (a margin above 0)"
NOISE = "A3: on unrelated questions wrong answers gain or lose like Gaussian noise around 0"
"""What the two theorems assume, as results state it."""
UNCHECKED = "`seqtant steering diagnose` checks it"
"""How an assumption that was not checked can be."""


def _array(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def alignment_guarantee(strength: ArrayLike, margin: ArrayLike, alignment: ArrayLike) -> Array:
    """Lower bound on alignment for r >= 0 (an upper bound for r < 0): tanh(Delta r / 2 + arctanh B_0).

    Theorem 1. With P_bad / P_good = (1 - B) / (1 + B) = exp(-2 arctanh B) and a margin that holds for every pair of a
    good and a bad token, the ratio shrinks at least like exp(-Delta r): hence the half, which a fit of tanh(a r + b)
    hides in a. Equality holds exactly if all pairs have the same gap.

    Args:
        strength: r, any shape.
        margin: Delta, least pairwise gap per unit strength, in nats.
        alignment: B_0 in [-1, 1].

    Returns:
        The bound, in [-1, 1].

    Example:
        >>> alignment_guarantee([0.0, 2.0], margin=1.0, alignment=0.0).round(4).tolist()
        [0.0, 0.7616]
    """
    with np.errstate(divide="ignore"):
        # arctanh(+-1) is infinite on purpose: tanh then gives +-1 at any strength, as the bound does.
        start = np.arctanh(np.clip(_array(alignment), -1.0, 1.0))
    return np.tanh(_array(margin) * _array(strength) / 2 + start)


def bell(strength: ArrayLike, a: float, b: float, floor: float = 0.0) -> Array:
    """Upper bound on helpfulness over a large vocabulary: f + (1 - f) / (1 + a + a b^2 r^2 / 2), with f = 0.

    Theorem 2 as the authors fit it: a = alpha W and b = lambda sigma beta, where alpha in (0, 1] is the share of the
    wrong mass that the noisy tokens hold and beta grows as that mass concentrates. Only a and b can be identified. With
    f = 1/N it is the curve to fit to scores restricted to N answers, which run from certainty down to chance.
    """
    return floor + (1 - floor) / (1 + a + a * b**2 * _array(strength) ** 2 / 2)


def efficient_limit(gain: float, loss: float, exchange: float = 1.0) -> float:
    """Strength below which steering gains more than it costs: A / (kappa Q), for a gain A r and a loss Q r^2.

    The exchange kappa is how much alignment one unit of helpfulness is worth.
    """
    return float("inf") if loss <= 0 else max(gain, 0.0) / (exchange * loss)


def budget_strength(linear: ArrayLike, quadratic: ArrayLike, budget: float, side: int = 1) -> Array:
    """Strength at which a budget is spent: the smallest positive root of side L r + Q r^2 = log(1 - eps).

    Args:
        linear: L, any shape.
        quadratic: Q, same shape.
        budget: eps in (0, 1).
        side: +1 or -1; the root is the distance on that side.

    Returns:
        The strength; infinity where the curve never falls that low.

    Example:
        >>> budget_strength([0.0, 0.1], [-0.01, 0.01], 0.05).round(3).tolist()
        [2.265, inf]
    """
    # On the negative side r = -distance: the linear term changes its sign, the quadratic one does not.
    slope, curve = side * _array(linear), _array(quadratic)
    target = -np.log1p(-budget)
    inside = slope**2 - 4 * curve * target
    with np.errstate(divide="ignore", invalid="ignore"):
        # Q r^2 + L r + t = 0 in the form that neither cancels nor divides by a small Q; it gives the smaller root.
        root = 2 * target / (-slope + np.sqrt(inside))
    return np.where((inside >= 0) & (root > 0), root, np.inf)


def loss_order(half: float, full: float) -> float:
    """log2 of the ratio of symmetric losses at r / 2 and r: 2 for a quadratic law, 1 for a linear one.

    Example:
        >>> loss_order(0.01, 0.04)
        2.0
    """
    return float(np.log2(full / half)) if half > 0 and full > 0 else float("nan")


Curve = Float[np.ndarray, " strengths"]


def fit_alignment(strengths: Sequence[float], alignment: Curve) -> Fit:
    """Fits the form of Theorem 1, B = tanh(slope r + offset) with slope = Delta / 2.

    Example:
        >>> fit = fit_alignment([-2, -1, 0, 1, 2], np.tanh(0.3 * np.arange(-2, 3) - 0.1))
        >>> fit.parameters.round(6).tolist()
        [0.3, -0.1]
    """
    places = np.asarray(strengths, dtype=np.float64)
    span = float(np.abs(places).max())
    # A straight line through arctanh B, which has no value at +-1, is the start of the search.
    inside = np.clip(alignment, -1 + 1e-9, 1 - 1e-9)
    start = np.polyfit(places / span, np.arctanh(np.clip(inside, -0.99, 0.99)), 1)
    # In units of the span, so that strengths of 0.01 and of 1,000 are fitted alike.

    def curve(x: Array, slope: float, offset: float) -> Array:
        return np.tanh(slope * x + offset)

    fit = fit_curve(curve, places / span, alignment, start=[float(v) for v in start])
    return _unscaled(fit, span)


def fit_bell(strengths: Sequence[float], probability: Curve, floor: float) -> Fit:
    """Fits the bell of Theorem 2 with a floor at chance: P = floor + (1 - floor) / (1 + a + a b^2 r^2 / 2)."""
    places = np.asarray(strengths, dtype=np.float64)
    span = float(np.abs(places).max())
    # At its top the curve is floor + (1 - floor) / (1 + a): that gives the first a.
    top = float(np.clip((probability.max() - floor) / (1 - floor), 1e-6, 1 - 1e-6))

    def curve(x: Array, b: float, a: float) -> Array:
        return bell(x, a, b, floor)

    fit = fit_curve(curve, places / span, probability, start=[1.0, 1 / top - 1])
    fit = _unscaled(fit, span)
    # The curve depends on b^2 only: the sign that the solver found means nothing.
    fit.parameters[0] = abs(fit.parameters[0])
    return fit


def _unscaled(fit: Fit, span: float) -> Fit:
    """Converts the first parameter, a rate, and its covariance back from units of the span."""
    scale = np.array([1 / span, 1.0])
    return replace(fit, parameters=fit.parameters * scale, covariance=fit.covariance * np.outer(scale, scale))


@dataclass(frozen=True)
class ProportionalFit:
    """y = slope x, and how well and how far it holds."""

    slope: float
    r_squared: float
    """Over all points: 1 is exact proportion."""
    reach: float
    """Largest x up to which R^2 stays above the threshold; 0 if it never does."""


def fit_proportional(
    x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"], threshold: float
) -> ProportionalFit:
    """Fits y = slope x by least squares.

    R^2 is about the mean of y, the origin included: a curve that rises and stays flat must not pass for a line. The
    points x ascend from above 0; ``threshold`` is the least R^2 that counts as straight.

    Example:
        >>> fit_proportional(np.array([1.0, 2.0, 4.0]), np.array([2.0, 4.0, 5.0]), 0.99).reach
        2.0
    """
    slope, r_squared, reach = 0.0, 0.0, 0.0
    # Two points and the origin are the least that can deviate from a line; the last fit is that of all points.
    for n in range(min(2, len(x)), len(x) + 1):
        slope = float(x[:n] @ y[:n] / (x[:n] @ x[:n]))
        with_origin = np.concatenate([[0.0], y[:n]])
        spread = float(((with_origin - with_origin.mean()) ** 2).sum())
        residual = float(((y[:n] - slope * x[:n]) ** 2).sum())
        r_squared = 1 - residual / spread if spread > 0 else 0.0
        if n >= 2 and r_squared >= threshold:
            reach = float(x[n - 1])
    return ProportionalFit(slope, r_squared, reach)


@dataclass(frozen=True)
class LocalLaw:
    """log(P(r) / P(0)) = L r + Q r^2 near 0, above a floor; one number, or one per resample."""

    linear: np.ndarray
    quadratic: np.ndarray

    def loss(self, strength: float) -> np.ndarray:
        """Relative loss 1 - P(r) / P(0)."""
        return -np.expm1(self.linear * strength + self.quadratic * strength**2)

    def strength(self, budget: float, side: int) -> np.ndarray:
        """Strength at which the relative loss is the budget; infinity where it never is."""
        return budget_strength(self.linear, self.quadratic, budget, side)


def fit_local_law(strengths: Sequence[float], probability: np.ndarray, floor: float) -> LocalLaw:
    """Fits log(P(r) / P(0)) = L r + Q r^2 by least squares, exact at 0, to mean helpfulness, [..., strengths].

    The floor, the probability of a guess or 0, is subtracted first.
    """
    places = np.asarray(strengths, dtype=np.float64)
    zero = int(np.flatnonzero(places == 0)[0])
    others = np.flatnonzero(places != 0)
    above = probability - floor
    if len(others) < 2 or (above[..., zero] <= 0).any():
        raise InputError(
            "helpfulness without steering is not above chance: there is nothing to lose; give items that the model can "
            "answer"
        )
    # Below the floor there is no logarithm; such a point says only that much is lost.
    ratio = np.log(np.maximum(above[..., others] / above[..., [zero]], 1e-6))  # [..., others]
    scale = np.abs(places[others]).max()
    x = places[others] / scale  # without it r and r^2 differ by orders of magnitude and the solution loses digits
    # No constant column: the law passes through 0 at r = 0 exactly. One matrix solves all resamples.
    solved = ratio @ np.linalg.pinv(np.stack([x, x**2], axis=1)).T
    return LocalLaw(solved[..., 0] / scale, solved[..., 1] / scale**2)


def symmetric_loss(strengths: Sequence[float], probability: np.ndarray) -> dict[float, np.ndarray]:
    """Averages the loss, [..., strengths], over both directions: D(r) = P(0) - (P(r) + P(-r)) / 2."""
    # Rounded, so that r and -r of a computed grid are found as a pair.
    index = {round(float(value), 9): number for number, value in enumerate(strengths)}
    zero = probability[..., index[0.0]]
    return {
        value: zero - (probability[..., number] + probability[..., index[-value]]) / 2
        for value, number in sorted(index.items())
        if value > 0 and -value in index
    }


def loss_orders(
    strengths: Sequence[float], items: np.ndarray, *, resamples: int, generator: np.random.Generator
) -> dict[float, Estimate]:
    """Computes log2 D(2r) / D(r) at every pair of strengths r and 2 r, by 2 r, with a paired bootstrap over items.

    Helpfulness of each item is [strengths, items]; a quadratic law gives about 2.
    """
    weights = resampled(items.shape[1], resamples, generator)
    own, drawn = symmetric_loss(strengths, items.mean(axis=1)), symmetric_loss(strengths, weights @ items.T)
    found: dict[float, Estimate] = {}
    for half in own:
        full = next((value for value in own if abs(value - 2 * half) < 1e-6 * half), None)
        if full is None or own[half] <= 0 or own[full] <= 0:
            continue
        # Resamples without a loss have no order: they may be left out only where they are few.
        good = (drawn[half] > 0) & (drawn[full] > 0)
        order = loss_order(float(own[half]), float(own[full]))
        low, high = (None, None)
        if good.mean() > 0.95:
            low, high = np.quantile(np.log2(drawn[full][good] / drawn[half][good]), [0.025, 0.975])
        method = "paired bootstrap" if low is not None else "the loss at half the strength may be zero"
        found[full] = Estimate(value=order, low=low, high=high, method=method, n=items.shape[1])
    return found


def resampled(n: int, resamples: int, generator: np.random.Generator) -> Float[np.ndarray, "resamples n"]:
    """Draws weights of paired bootstrap resamples: how often each item is in a resample, over n."""
    return generator.multinomial(n, np.full(n, 1 / n), size=resamples) / n
