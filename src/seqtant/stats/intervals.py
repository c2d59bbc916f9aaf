"""Intervals in closed form: of a mean, of a mean over clusters, of a share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import stats
from torch import Tensor

from seqtant.errors import InputError
from seqtant.findings import Estimate


def finite(values: ArrayLike, name: str = "values") -> np.ndarray:
    """Values as a one-dimensional float64 array."""
    array = np.asarray(values, dtype=np.float64).ravel()
    if array.size == 0 or not np.isfinite(array).all():
        raise InputError(f"{name} must hold at least one number and only finite ones: got {array.size} numbers")
    return array


def mean(values: ArrayLike, *, level: float = 0.95, unit: str = "") -> Estimate:
    """Mean of independent values with Student's interval; one value alone has none.

    For paired samples give their differences.

    Args:
        values: Independent observations, [n].
        level: Coverage.
        unit: Unit of the values.

    Raises:
        InputError: There is no value, or one is not finite.

    Example:
        >>> print(mean([1.0, 2.0, 3.0]))
        2.0 [-0.5, 4.5] (95 %, Student t, n=3)
    """
    array = finite(values)
    n = array.size
    error = float(array.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    return _student(float(array.mean()), error, n - 1, level=level, method="Student t", n=n, unit=unit)


def clustered_mean(
    values: ArrayLike, clusters: Sequence[object] | np.ndarray, *, level: float = 0.95, unit: str = ""
) -> Estimate:
    """Mean of values that come in clusters, with the cluster-robust interval on G - 1 degrees of freedom.

    The variance is G/(G-1) times the sum over clusters of squared summed residuals, over n^2.

    Args:
        values: Observations, [n].
        clusters: The cluster of each, [n]: document, speaker, seed.
        level: Coverage.
        unit: Unit of the values.

    Raises:
        InputError: The lengths differ, there is no value, or one is not finite.

    Example:
        >>> print(clustered_mean([1.0, 1.0, 3.0, 3.0], ["a", "a", "b", "b"]))
        2.0 [-10.7, 14.7] (95 %, cluster-robust t, n=4 in 2 clusters)
    """
    array = finite(values)
    sums, counts = cluster_sums(array - array.mean(), clusters)
    groups = counts.size
    error = float(np.sqrt(groups / (groups - 1) * (sums**2).sum()) / array.size) if groups > 1 else None
    return _student(
        float(array.mean()),
        error,
        groups - 1,
        level=level,
        method="cluster-robust t",
        n=array.size,
        clusters=groups,
        unit=unit,
    )


def cluster_sums(values: np.ndarray, clusters: Sequence[object] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values of each cluster, [G] each."""
    names = np.asarray(clusters)
    if names.shape != values.shape:
        raise InputError(f"{values.size} values have {names.size} cluster names: give one for each")
    _, index = np.unique(names, return_inverse=True)
    return np.bincount(index, weights=values), np.bincount(index).astype(np.float64)


def share(successes: int, n: int, *, level: float = 0.95) -> Estimate:
    """Share of successes with Wilson's interval.

    Args:
        successes: Number of successes.
        n: Number of trials.
        level: Coverage.

    Raises:
        InputError: There is no trial, or not 0 <= successes <= n.

    Example:
        >>> print(share(0, 10))
        0 [0, 0.2775] (95 %, Wilson, n=10)
    """
    if n < 1 or not 0 <= successes <= n:
        raise InputError(f"{successes} successes in {n} trials: give 0 <= successes <= trials and at least one trial")
    interval = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    return Estimate(
        value=successes / n,
        low=float(interval.low),
        high=float(interval.high),
        level=level,
        method="Wilson",
        n=n,
    )


def overlap(first: Estimate, second: Estimate) -> bool:
    """Whether two intervals have a point in common; an end that is not known is the value itself.

    Example:
        >>> one, two = Estimate(value=1, low=0, high=2), Estimate(value=3, low=1.5, high=4.5)
        >>> overlap(one, two), overlap(one, Estimate.exact(3))
        (True, False)
    """
    low = max(each.value if each.low is None else each.low for each in (first, second))
    return low <= min(each.value if each.high is None else each.high for each in (first, second))


def _student(
    value: float,
    error: float | None,
    degrees: int,
    *,
    level: float,
    method: str,
    n: int,
    clusters: int | None = None,
    unit: str = "",
) -> Estimate:
    half = None if error is None else error * float(stats.t.ppf((1 + level) / 2, degrees))
    return Estimate(
        value=value,
        low=None if half is None else value - half,
        high=None if half is None else value + half,
        level=level,
        method=method if half is not None else f"{method} needs at least two",
        n=n,
        clusters=clusters,
        unit=unit,
    )


def log_matmul(
    log_weights: Float[Tensor, "*batch states"], matrix: Float[Tensor, "states columns"]
) -> Float[Tensor, "*batch columns"]:
    """log(exp(log_weights) @ matrix), exact over any range of weights.

    A plain product after taking out the largest weight; entries so far below it that a float cannot hold them are done
    again in log-space.

    Example:
        >>> log_matmul(torch.tensor([0.0, -5000.0], dtype=torch.float64), torch.eye(2, dtype=torch.float64)).tolist()
        [0.0, -5000.0]
    """
    top = log_weights.amax(dim=-1, keepdim=True).clamp(min=torch.finfo(log_weights.dtype).min)
    product = torch.log((log_weights - top).exp() @ matrix)
    tiny = product < math.log(torch.finfo(log_weights.dtype).tiny) + 40
    if bool(tiny.any()):
        possible = (log_weights > -torch.inf).to(matrix) @ (matrix > 0).to(matrix) > 0
        rows = (tiny & possible).any(dim=-1)
        shifted = (log_weights - top)[rows]
        product[rows] = torch.logsumexp(shifted[..., None] + matrix.log(), dim=-2)
    return product + top
