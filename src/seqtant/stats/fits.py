"""Least squares with what is needed to trust it: covariance, R^2, reduced chi^2, intervals of the parameters."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import (  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
    chdtrc,
    ndtri,
    stdtrit,
)

from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.stats.intervals import finite


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A curve fitted to points, with the quality of the fit.

    With errors given for the points the covariance is taken from them as they are; without, from the scatter.
    """

    names: tuple[str, ...]
    """Names of the P parameters."""
    parameters: np.ndarray
    """Best values, [P]."""
    covariance: np.ndarray
    """Their covariance, [P, P]."""
    r_squared: float | None
    """Share of the (weighted) variance about the (weighted) mean that the curve explains; None if there is none."""
    chi_squared: float | None
    """Sum of squared residuals in units of the given errors; None without errors."""
    degrees: int
    """Degrees of freedom: points minus parameters."""
    errors_given: bool
    """Whether the points came with errors."""

    @property
    def reduced_chi_squared(self) -> float | None:
        """chi^2 per degree of freedom: about 1 if the curve and the errors are right; None if it is not defined."""
        return None if self.chi_squared is None or self.degrees < 1 else self.chi_squared / self.degrees

    @property
    def p_value(self) -> float | None:
        """Chance of a chi^2 at least this large if curve and errors are right; None if it is not defined."""
        if self.chi_squared is None or self.degrees < 1:
            return None
        return float(chdtrc(self.degrees, self.chi_squared))

    def error(self, name: str) -> float:
        """Standard error of one parameter."""
        index = self.names.index(name)
        return math.sqrt(self.covariance[index, index])

    def estimate(self, name: str, *, level: float = 0.95, unit: str = "") -> Estimate:
        """One parameter with its interval: normal if the points came with errors, Student's t otherwise."""
        return self._estimate(float(self.parameters[self.names.index(name)]), self.error(name), level, unit)

    def combination(self, weights: ArrayLike, *, level: float = 0.95, unit: str = "") -> Estimate:
        """A linear combination of the parameters with its interval, e.g. a straight line's height at x: [1, x].

        Args:
            weights: One weight per parameter, [P].
            level: Coverage.
            unit: Unit of the combination.
        """
        row = np.asarray(weights, dtype=np.float64)
        return self._estimate(float(row @ self.parameters), math.sqrt(row @ self.covariance @ row), level, unit)

    def _estimate(self, value: float, error: float, level: float, unit: str) -> Estimate:
        tail = (1 + level) / 2
        quantile = ndtri(tail) if self.errors_given else stdtrit(self.degrees, tail)
        half = float(quantile) * error
        n = self.degrees + len(self.names)
        method = "weighted least squares" if self.errors_given else "least squares"
        return Estimate(value=value, low=value - half, high=value + half, level=level, method=method, n=n, unit=unit)


def fit_curve(
    function: Callable[..., np.ndarray],
    x: ArrayLike,
    y: ArrayLike,
    *,
    errors: ArrayLike | None = None,
    start: Sequence[float] | None = None,
) -> Fit:
    """Fits ``function(x, *parameters)`` to points by least squares.

    Args:
        function: Vectorized in x; the names of its further arguments name the parameters.
        x: Places, [n].
        y: Values, [n].
        errors: Standard error of each value, [n]; by default unknown and equal.
        start: First guess, [P]; by default ones.

    Raises:
        InputError: There are too few points, an error is not positive, or the fit does not converge.

    Example:
        >>> fit = fit_curve(lambda x, scale, rate: scale * np.exp(-rate * x), [0, 1, 2, 3], [2.0, 1.0, 0.5, 0.25])
        >>> fit.parameters.round(6).tolist()
        [2.0, 0.693147]
    """
    xs, ys = finite(x, "x"), finite(y, "y")
    sigma = None if errors is None else finite(errors, "errors")
    names = tuple(inspect.signature(function).parameters)[1:]
    sizes = {each.size for each in (xs, ys, sigma) if each is not None}
    if len(sizes) != 1:
        raise InputError(f"a fit needs as many x, y and errors: got {sorted(sizes)}")
    # Without errors the scatter about the curve is estimated too, which takes one point more.
    least = len(names) + (sigma is None)
    if xs.size < least:
        raise InputError(f"a fit of {len(names)} parameters needs at least {least} points: got {xs.size}")
    if sigma is not None and (sigma <= 0).any():
        raise InputError("errors of the points must be positive")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            parameters, covariance = curve_fit(
                function, xs, ys, p0=start, sigma=sigma, absolute_sigma=sigma is not None
            )
    except (RuntimeError, OptimizeWarning) as error:
        raise InputError(f"the fit does not converge: {str(error).splitlines()[0]}") from error
    weights = np.ones_like(ys) if sigma is None else sigma**-2
    residual = float((weights * (ys - function(xs, *parameters)) ** 2).sum())
    # The weighted mean is the best constant: R^2 is 0 for a curve that is no better than it.
    about_mean = float((weights * (ys - np.average(ys, weights=weights)) ** 2).sum())
    return Fit(
        names=names,
        parameters=parameters,
        covariance=covariance,
        r_squared=1 - residual / about_mean if about_mean > 0 else None,
        chi_squared=None if sigma is None else residual,
        degrees=ys.size - len(names),
        errors_given=sigma is not None,
    )


def fit_line(x: ArrayLike, y: ArrayLike, *, errors: ArrayLike | None = None) -> Fit:
    """Fits y = intercept + slope x.

    Args:
        x: Places, [n].
        y: Values, [n].
        errors: Standard error of each value, [n]; by default unknown and equal.

    Raises:
        InputError: There are fewer than three points (two, with errors), or all at one place.

    Example:
        >>> fit = fit_line([0, 1, 2], [1.0, 3.0, 5.0], errors=[0.1, 0.1, 0.1])
        >>> print(fit.estimate("slope"))
        2.00 [1.86, 2.14] (95 %, weighted least squares, n=3)
    """
    places = finite(x, "x")
    if np.ptp(places) == 0:
        raise InputError(f"a line needs points at two places at least: all are at {places[0]:g}")
    return fit_curve(lambda x, intercept, slope: intercept + slope * x, places, y, errors=errors)
