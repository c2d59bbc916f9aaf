"""The line ln d = a + b L through the crossings of depth pairs: a depth law of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqtant.architecture.experiments.crossings import Crossing
from seqtant.architecture.theory import DepthLaw
from seqtant.errors import InconclusiveError
from seqtant.findings import Estimate
from seqtant.stats.bootstrap import percentile
from seqtant.stats.fits import Fit, fit_line

FEWEST_CROSSINGS = 3
"""A line through two points fits always and says nothing."""


@dataclass(frozen=True, kw_only=True)
class FittedLaw:
    """The line through the crossings."""

    fit: Fit
    """Weighted least squares; ``intercept`` is a, ``slope`` is b."""
    covariance: np.ndarray
    """Covariance of (a, b): of the refitted draws, or of the fit where there is no scatter over seeds, [2, 2]."""
    a: Estimate
    """Intercept, natural logarithm of a width."""
    b: Estimate
    """Slope per layer."""

    @property
    def law(self) -> DepthLaw:
        """The same as a depth law, for predictions."""
        (var_a, cov_ab), (_, var_b) = self.covariance.tolist()
        return DepthLaw(a=self.a.value, b=self.b.value, var_a=var_a, cov_ab=cov_ab, var_b=var_b)


def fit_law(crossings: Sequence[Crossing]) -> FittedLaw:
    """Fits ln d = a + b L through crossings, weighted by their errors where they have them.

    The points of neighboring pairs are correlated, since they share the losses of a depth. The weighted fit ignores
    that; the intervals and the covariance come from fitting every draw of the bootstrap anew, which does not.

    Raises:
        InconclusiveError: There are fewer than three crossings.
    """
    if len(crossings) < FEWEST_CROSSINGS:
        raise InconclusiveError(
            f"{len(crossings)} crossings are too few for a line: at least {FEWEST_CROSSINGS} pairs of depths must "
            "change places; train sizes further apart, more depths or more seeds"
        )
    depths = np.array([crossing.depth for crossing in crossings], dtype=np.float64)
    heights = [crossing.log_width for crossing in crossings]
    errors = np.array([crossing.log_width_error or np.nan for crossing in crossings])
    if np.isnan(errors).any():
        fit = fit_line(depths, heights)
        return FittedLaw(fit=fit, covariance=fit.covariance, a=fit.estimate("intercept"), b=fit.estimate("slope"))
    fit = fit_line(depths, heights, errors=errors)
    lines = _refitted(crossings, depths, errors)
    a, b = (
        percentile(float(value), lines[:, index], method="refitted bootstrap over seeds", n=len(crossings))
        for index, value in enumerate(fit.parameters)
    )
    return FittedLaw(fit=fit, covariance=np.cov(lines.T), a=a, b=b)


def _refitted(crossings: Sequence[Crossing], depths: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The weighted line of each draw, [R, 2]."""
    draws = np.stack([crossing.draws for crossing in crossings if crossing.draws is not None], axis=1)
    heights = (draws - np.log(12 * depths)) / 2
    design = np.stack([np.ones_like(depths), depths], axis=1) / errors[:, None]
    return (heights / errors) @ np.linalg.pinv(design).T
