"""Straight lines through the origin: how far a quantity grows in proportion to the strength."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Proportion:
    """y = slope x, and how well and how far it holds."""

    slope: float
    r_squared: float
    """Over all points, about zero: 1 is exact proportion."""
    reach: float
    """Largest x up to which R^2 stays at least what was asked; 0 if it never is."""


def proportion(x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"], least: float) -> Proportion:
    """Fits y = slope x by least squares.

    R^2 is about the mean of y where there are enough points for it to mean something: a curve that rises and stays
    flat must not pass for a line.

    Args:
        x: Ascending places above 0.
        y: Values.
        least: R^2 that counts as straight.

    Example:
        >>> found = proportion(np.array([1.0, 2.0, 4.0]), np.array([2.0, 4.0, 5.0]), 0.99)
        >>> found.reach
        2.0
    """
    slope, r_squared = _line(x, y)
    # Two points and the origin are the least that can deviate from a line.
    reach = max((float(x[n - 1]) for n in range(2, len(x) + 1) if _line(x[:n], y[:n])[1] >= least), default=0.0)
    return Proportion(slope, r_squared, reach)


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    slope = float(x @ y / (x @ x))
    with_origin = np.concatenate([[0.0], y])
    spread = float(((with_origin - with_origin.mean()) ** 2).sum())
    residual = float(((y - slope * x) ** 2).sum())
    return slope, 1 - residual / spread if spread > 0 else 0.0
