"""Fits the curves of the trade-off: the S of alignment, the bell of helpfulness, the law near zero, proportionality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.stats.fits import Fit, fit_curve
from seqtant.steering.theory import bell, budget_strength, loss_order

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
    fit = fit_curve(
        lambda x, slope, offset: np.tanh(slope * x + offset), places / span, alignment, start=[float(v) for v in start]
    )
    return _unscaled(fit, span)


def fit_bell(strengths: Sequence[float], probability: Curve, floor: float) -> Fit:
    """Fits the bell of Theorem 2 with a floor at chance: P = floor + (1 - floor) / (1 + a + a b^2 r^2 / 2)."""
    places = np.asarray(strengths, dtype=np.float64)
    span = float(np.abs(places).max())
    # At its top the curve is floor + (1 - floor) / (1 + a): that gives the first a.
    top = float(np.clip((probability.max() - floor) / (1 - floor), 1e-6, 1 - 1e-6))
    fit = fit_curve(lambda x, b, a: bell(x, a, b, floor), places / span, probability, start=[1.0, 1 / top - 1])
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
