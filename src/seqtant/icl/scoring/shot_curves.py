"""From right and wrong answers to a number of shots: when is accuracy within reach of its plateau, how surely?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from seqtant.findings import Estimate


@dataclass(frozen=True)
class ShotCurve:
    """Accuracy lost to the many-shot plateau, query by query, after 0, 1, 2, ... shots."""

    losses: Float[np.ndarray, "prompts queries"]
    """1 where only the plateau is right, -1 where only the prompt is, else 0."""

    @property
    def mean(self) -> Float[np.ndarray, " queries"]:
        """Mean loss after each number of shots."""
        return self.losses.mean(axis=0)

    @property
    def error(self) -> Float[np.ndarray, " queries"]:
        """Its standard error; prompts are independent, the queries of one are not."""
        return self.losses.std(axis=0, ddof=1) / math.sqrt(len(self.losses))

    def shots(self, epsilon: float, chosen: np.ndarray | None = None) -> float:
        """Fewest shots, at least 1, with a loss within eps that no larger number surely exceeds again.

        Args:
            epsilon: Accuracy that may be missing.
            chosen: Numbers of the prompts to use, for resampling; None uses all.

        Returns:
            A whole number; infinite where the prompts do not hold enough shots.

        Example:
            >>> ShotCurve(np.repeat([[1.0, 0.4, 0.03, 0.01]], 9, axis=0)).shots(0.05)
            2.0
        """
        curve = self if chosen is None else ShotCurve(self.losses[chosen])
        mean, surely = curve.mean, curve.mean - float(ndtri(0.975)) * curve.error
        for shots in range(1, len(mean)):
            if mean[shots] <= epsilon and (surely[shots + 1 :] <= epsilon).all():
                return float(shots)
        return math.inf


def resampled(
    statistic: Callable[[np.ndarray], float], size: int, value: float, resamples: int, generator: np.random.Generator
) -> Estimate:
    """A number of shots with its bootstrap interval; ends that lie beyond what was measured are infinite.

    Args:
        statistic: The number of shots from the chosen prompts or examples.
        size: How many there are.
        value: The number of shots from all.
        resamples: Number of resamples.
        generator: Source of chance.
    """
    draws = np.array([statistic(generator.integers(size, size=size)) for _ in range(resamples)])
    # Order statistics, not interpolated quantiles: a mean with infinity would be no number.
    low, high = np.sort(draws)[[int(0.025 * resamples), min(resamples - 1, math.ceil(0.975 * resamples))]]
    return Estimate(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        method="cluster bootstrap",
        n=size,
        clusters=size,
        unit="shots",
    )


def identified_share(posterior: Float[np.ndarray, "prompts queries"], epsilon: float) -> Float[np.ndarray, " queries"]:
    """Share of prompts whose rivals have together posterior odds below eps, after every number of shots."""
    return ((1 - posterior) <= epsilon * posterior).mean(axis=0)


def first_shots(shares: Float[np.ndarray, " queries"], least: float) -> float:
    """Fewest shots from which on a share stays at least so large; infinite if it never does.

    Example:
        >>> first_shots(np.array([0.2, 0.96, 0.9, 0.97, 0.99]), 0.95)
        3.0
    """
    below = np.flatnonzero(shares < least)
    if not len(below):
        return 0.0
    return float(below[-1] + 1) if below[-1] + 1 < len(shares) else math.inf
