"""Curves through the two sides of the trade-off: the S of alignment, the bell of helpfulness, the law near zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.stats.fits import Fit, fit_curve
from seqtant.steering.theory import budget_strength, loss_order

Curve = Float[np.ndarray, " strengths"]


def fit_alignment(strengths: Sequence[float], alignment: Curve) -> Fit:
    """Fits B = tanh(slope r + offset), the form of Theorem 1 with slope = Delta / 2.

    Raises:
        InputError: The fit does not converge.

    Example:
        >>> fit = fit_alignment([-2, -1, 0, 1, 2], np.tanh(0.3 * np.arange(-2, 3) - 0.1))
        >>> fit.parameters.round(6).tolist()
        [0.3, -0.1]
    """
    places = np.asarray(strengths, dtype=np.float64)
    span = float(np.abs(places).max())
    inside = np.clip(alignment, -1 + 1e-9, 1 - 1e-9)
    start = np.polyfit(places / span, np.arctanh(np.clip(inside, -0.99, 0.99)), 1)

    def curve(x: np.ndarray, slope: float, offset: float) -> np.ndarray:
        return np.tanh(slope * x + offset)

    # In units of the span, so that strengths of 0.01 and of 1,000 are fitted alike.
    return _unscaled(fit_curve(curve, places / span, alignment, start=[float(v) for v in start]), span)


def fit_bell(strengths: Sequence[float], probability: Curve, floor: float) -> Fit:
    """Fits P = floor + (1 - floor) / (1 + a + a b^2 r^2 / 2), the form of Theorem 2 with a floor at chance.

    Raises:
        InputError: The fit does not converge.
    """
    places = np.asarray(strengths, dtype=np.float64)
    span = float(np.abs(places).max())
    top = float(np.clip((probability.max() - floor) / (1 - floor), 1e-6, 1 - 1e-6))

    def curve(x: np.ndarray, b: float, a: float) -> np.ndarray:
        return floor + (1 - floor) / (1 + a + a * b**2 * x**2 / 2)

    fit = _unscaled(fit_curve(curve, places / span, probability, start=[1.0, 1 / top - 1]), span)
    # The curve knows b^2 only.
    fit.parameters[0] = abs(fit.parameters[0])
    return fit


def _unscaled(fit: Fit, span: float) -> Fit:
    """Takes the first parameter, a rate, back from units of the span."""
    scale = np.array([1 / span, 1.0])
    return Fit(
        names=fit.names,
        parameters=fit.parameters * scale,
        covariance=fit.covariance * np.outer(scale, scale),
        r_squared=fit.r_squared,
        chi_squared=fit.chi_squared,
        degrees=fit.degrees,
        errors_given=fit.errors_given,
    )


@dataclass(frozen=True)
class LocalLaw:
    """log(P(r) / P(0)) = L r + Q r^2 near 0, above a floor; one number, or one per resample."""

    linear: np.ndarray
    quadratic: np.ndarray

    def loss(self, strength: float) -> np.ndarray:
        """Relative loss 1 - P(r) / P(0)."""
        return -np.expm1(self.linear * strength + self.quadratic * strength**2)

    def strength(self, budget: float, side: int) -> np.ndarray:
        """Strength at which a budget is spent; infinity where it never is."""
        return budget_strength(self.linear, self.quadratic, budget, side)


def fit_local_law(strengths: Sequence[float], probability: np.ndarray, floor: float) -> LocalLaw:
    """Fits the law through 0 by least squares.

    Args:
        strengths: Strengths, 0 among them, on both sides.
        probability: Mean helpfulness, (..., strengths).
        floor: What is subtracted first: chance, or 0.

    Raises:
        InputError: Helpfulness at 0 is not above the floor, or fewer than two other strengths are given.
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
    ratio = np.log(np.maximum(above[..., others] / above[..., [zero]], 1e-6))
    scale = np.abs(places[others]).max()
    x = places[others] / scale
    solved = ratio @ np.linalg.pinv(np.stack([x, x**2], axis=1)).T
    return LocalLaw(solved[..., 0] / scale, solved[..., 1] / scale**2)


def symmetric_loss(strengths: Sequence[float], probability: np.ndarray) -> dict[float, np.ndarray]:
    """D(r) = P(0) - (P(r) + P(-r)) / 2 for every r > 0 that was measured on both sides.

    Args:
        strengths: Strengths, 0 among them.
        probability: (..., strengths).
    """
    index = {round(float(value), 9): number for number, value in enumerate(strengths)}
    zero = probability[..., index[0.0]]
    return {
        value: zero - (probability[..., number] + probability[..., index[-value]]) / 2
        for value, number in sorted(index.items())
        if value > 0 and -value in index
    }


@dataclass(frozen=True)
class LossOrder:
    """log2 of the ratio of symmetric losses at a strength and at its half."""

    strength: float
    """The larger strength."""
    order: Estimate
    """About 2 for a quadratic law."""


def loss_orders(
    strengths: Sequence[float], items: np.ndarray, *, resamples: int, generator: np.random.Generator
) -> list[LossOrder]:
    """The order of the loss at every pair of strengths r and 2 r that was measured, with a paired bootstrap.

    Args:
        strengths: Strengths, 0 among them.
        items: Helpfulness of each item, (strengths, items).
        resamples: Bootstrap resamples.
        generator: Their randomness.
    """
    weights = resampled(items.shape[1], resamples, generator)
    own, drawn = symmetric_loss(strengths, items.mean(axis=1)), symmetric_loss(strengths, weights @ items.T)
    found = []
    for half in own:
        full = next((value for value in own if abs(value - 2 * half) < 1e-6 * half), None)
        if full is None or own[half] <= 0 or own[full] <= 0:
            continue
        good = (drawn[half] > 0) & (drawn[full] > 0)
        order = loss_order(float(own[half]), float(own[full]))
        low, high = (None, None)
        if good.mean() > 0.95:
            low, high = np.quantile(np.log2(drawn[full][good] / drawn[half][good]), [0.025, 0.975])
        method = "paired bootstrap" if low is not None else "the loss at half the strength may be zero"
        found.append(LossOrder(full, Estimate(value=order, low=low, high=high, method=method, n=items.shape[1])))
    return found


def resampled(n: int, resamples: int, generator: np.random.Generator) -> Float[np.ndarray, "resamples n"]:
    """Weights of paired bootstrap resamples: each row says how often each item was drawn, over n."""
    return generator.multinomial(n, np.full(n, 1 / n), size=resamples) / n
