"""Intervals by resampling: of any statistic, of paired samples, of clusters; the randomness is always the caller's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.stats.intervals import cluster_sums, finite

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
