"""The paper's own readings of its curves: a line through three points, a variance slope, a sigmoid of the behavior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from seqtant.errors import InputError
from seqtant.stats.fits import Fit, fit_curve

POINTS = 3


@dataclass(frozen=True)
class Line:
    """The least-squares line through the first points of a divergence."""

    start: float
    """Its value at the first point, one sentence: what the paper takes for log(1/alpha), in nats."""
    slope: float
    """How much it falls per sentence: what the paper takes for beta, in nats."""

    @property
    def ratio(self) -> float:
        """log(1/alpha) / beta as the paper reads it, in sentences."""
        return self.start / self.slope


def first_points_line(divergence: ArrayLike) -> Line:
    """The paper's reading of KL(P-(.|s) || P(.|s)) over prompt lengths 1, 2, ... (Section 4.1).

    For a mixture the divergence is a plateau near beta that drops where log(1/alpha) is used up, so neither number
    need be what it is called.

    Args:
        divergence: Mean divergence after 1, 2, ... sentences, at least three.

    Raises:
        InputError: There are fewer than three points.

    Example:
        >>> line = first_points_line([30.82, 17.64, 9.67, 7.98])
        >>> round(line.start, 2), round(line.slope, 2)
        (29.95, 10.57)
    """
    values = np.asarray(divergence, dtype=np.float64)
    if values.size < POINTS:
        raise InputError(f"the paper's line needs {POINTS} points: got {values.size}")
    slope, height = np.polyfit(np.arange(POINTS), values[:POINTS], 1)
    return Line(float(height), float(-slope))


def behavior_sigmoid(sentences: Sequence[float], share_good: ArrayLike) -> Fit:
    """Lemma 7's sigmoid 1 / (1 + exp(slope (n - center))) fitted to shares of good answers.

    Args:
        sentences: Prompt lengths.
        share_good: Share of good answers at each.

    Raises:
        InputError: There are too few points, or the fit does not converge.

    Example:
        >>> fit = behavior_sigmoid([1, 2, 3, 4], 1 / (1 + np.exp(2.0 * (np.array([1, 2, 3, 4]) - 2.5))))
        >>> fit.parameters.round(4).tolist()
        [2.5, 2.0]
    """
    shares = np.asarray(share_good, dtype=np.float64)
    start = float(np.interp(-0.5, -shares, np.asarray(sentences, dtype=np.float64)))
    return fit_curve(_sigmoid, sentences, shares, start=[start, 1.0])


def _sigmoid(n: np.ndarray, center: float, slope: float) -> np.ndarray:
    return 1 / (1 + np.exp(np.clip(slope * (n - center), -500, 500)))


def largest_ratio(variances: ArrayLike) -> float:
    """Least slope of a line through the origin that lies above Var(n): the paper's sigma^2.

    Args:
        variances: Variance of the log-ratio after 1, 2, ... sentences.

    Example:
        >>> largest_ratio([4.0, 6.0, 15.0])
        5.0
    """
    values = np.asarray(variances, dtype=np.float64)
    return float((values / np.arange(1, values.size + 1)).max())
