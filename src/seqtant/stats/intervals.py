"""Intervals in closed form (of a mean, of a mean over clusters, of a share) and by resampling (of any statistic).

The randomness of resampling is always the caller's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

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
    # Residuals of a cluster are added before squaring: their correlation within the cluster enters the variance.
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
    p, z = successes / n, float(ndtri((1 + level) / 2))
    center, half = (2 * n * p + z**2, z * math.sqrt(4 * n * p * (1 - p) + z**2))
    return Estimate(
        value=p,
        low=(center - half) / (2 * (n + z**2)) if successes else 0.0,
        high=(center + half) / (2 * (n + z**2)) if successes < n else 1.0,
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
    half = None if error is None else error * float(stdtrit(degrees, (1 + level) / 2))
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


Statistic = Callable[..., np.ndarray]
"""Vectorized: takes samples [..., n] and the keyword ``axis``, reduces that axis."""


def bootstrap(
    statistic: Statistic,
    *samples: ArrayLike,
    generator: np.random.Generator,
    paired: bool = False,
    resamples: int = 2000,
    level: float = 0.95,
    unit: str = "",
) -> Estimate:
    """Percentile bootstrap of a statistic of one or more samples.

    Args:
        statistic: Vectorized; called with one array per sample and ``axis=-1``.
        *samples: Independent observations, [n] each; of equal length if paired.
        generator: Source of the resamples.
        paired: Whether the samples are drawn together, row by row.
        resamples: Number of resamples.
        level: Coverage.
        unit: Unit of the statistic.

    Raises:
        InputError: A sample has fewer than two values, or one that is not finite.

    Example:
        >>> estimate = bootstrap(np.mean, [1.0, 2.0, 3.0, 4.0], generator=np.random.default_rng(0))
        >>> estimate.value, estimate.low < 2.5 < estimate.high
        (2.5, True)
    """
    arrays = [finite(sample) for sample in samples]
    sizes = {array.size for array in arrays}
    if min(sizes) < 2 or (paired and len(sizes) != 1):
        raise InputError(f"a bootstrap needs samples of at least two values, of equal size if paired: got {sizes}")
    from scipy import stats  # a second of imports, which most intervals do without

    found = stats.bootstrap(
        arrays,
        statistic,
        n_resamples=resamples,
        vectorized=True,
        paired=paired,
        axis=-1,
        confidence_level=level,
        method="percentile",
        rng=generator,
    )
    return Estimate(
        value=float(statistic(*arrays, axis=-1)),
        low=float(found.confidence_interval.low),
        high=float(found.confidence_interval.high),
        level=level,
        method="paired bootstrap" if paired else "bootstrap",
        n=arrays[0].size,
        unit=unit,
    )


def cluster_bootstrap(
    values: ArrayLike,
    clusters: Sequence[object] | np.ndarray,
    *,
    generator: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
    unit: str = "",
) -> Estimate:
    """Percentile bootstrap of a mean that draws whole clusters.

    Args:
        values: Observations, [n].
        clusters: The cluster of each, [n].
        generator: Source of the resamples.
        resamples: Number of resamples.
        level: Coverage.
        unit: Unit of the values.

    Raises:
        InputError: There are fewer than two clusters, the lengths differ, or a value is not finite.

    Example:
        >>> estimate = cluster_bootstrap([1.0, 1.0, 3.0], ["a", "a", "b"], generator=np.random.default_rng(0))
        >>> estimate.low, estimate.high, estimate.clusters
        (1.0, 3.0, 2)
    """
    array = finite(values)
    sums, counts = cluster_sums(array, clusters)
    groups = counts.size
    if groups < 2:
        raise InputError("a cluster bootstrap needs at least two clusters: use the plain bootstrap")
    drawn = generator.multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    # A ratio of sums: clusters of unlike size keep the weight that their values have.
    means = (drawn @ sums) / (drawn @ counts)
    return percentile(
        float(array.mean()), means, level=level, method="cluster bootstrap", n=array.size, clusters=groups, unit=unit
    )


def percentile(
    value: float,
    draws: ArrayLike,
    *,
    level: float = 0.95,
    method: str = "bootstrap",
    n: int | None = None,
    clusters: int | None = None,
    unit: str = "",
) -> Estimate:
    """A value with the central interval of its resampled values.

    Args:
        value: The statistic of the data themselves.
        draws: The statistic of each resample, [R].
        level: Coverage.
        method: Name of the resampling.
        n: Number of observations behind the value.
        clusters: Number of clusters among them.
        unit: Unit of the value.

    Example:
        >>> print(percentile(0.5, np.arange(101) / 100, method="residual bootstrap"))
        0.50 [0.03, 0.97] (95 %, residual bootstrap)
    """
    tail = (1 - level) / 2
    low, high = np.quantile(finite(draws, "draws"), [tail, 1 - tail])
    return Estimate(
        value=value, low=float(low), high=float(high), level=level, method=method, n=n, clusters=clusters, unit=unit
    )
