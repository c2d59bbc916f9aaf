"""Metropolis sampling of single flips, only to be compared with exact sampling, and what its correlations cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import eigsh


def chains(
    probability: NDArray[np.float64], sites: int, sweeps: int, starts: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Runs single-flip Metropolis chains on a table of probabilities.

    Args:
        probability: Of all 2^sites configurations.
        sites: Number of spins; a sweep is that many proposals.
        sweeps: Sweeps to keep.
        starts: First configuration of each chain, as integers.
        rng: Source of chance.

    Returns:
        Configurations after each sweep, shape (sweeps, chains).
    """
    now = starts.copy()
    kept = np.empty((sweeps, len(starts)), dtype=np.int64)
    for sweep in range(sweeps):
        flips = 1 << rng.integers(0, sites, size=(sites, len(starts)))
        chance = rng.random((sites, len(starts)))
        for proposal in range(sites):
            new = now ^ flips[proposal]
            now = np.where(chance[proposal] * probability[now] < probability[new], new, now)
        kept[sweep] = now
    return kept


def autocorrelation_time(series: NDArray[np.float64]) -> float:
    """Integrated autocorrelation time of chains, in steps of the series; 0.5 for independent values.

    Sums the autocorrelation, averaged over chains, up to the first non-positive pair (Geyer's initial sequence).

    Args:
        series: Shape (steps, chains).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> autocorrelation_time(rng.normal(size=(4000, 4))) < 0.6
        True
    """
    centered = series - series.mean()
    steps = len(centered)
    transform = np.fft.rfft(centered, 2 * steps, axis=0)
    covariance = np.fft.irfft(np.abs(transform) ** 2, axis=0)[:steps].mean(axis=1) / np.arange(steps, 0, -1)
    if covariance[0] <= 0:
        return 0.5 * steps  # a chain that never moved: one sample in all
    rho = covariance / covariance[0]
    total = 0.5
    for lag in range(1, steps - 1, 2):
        pair = rho[lag] + rho[lag + 1]
        if pair <= 0:
            break
        total += pair
    return float(max(0.5, total))


def second_eigenvalue(probability: NDArray[np.float64], sites: int) -> float:
    """Second largest eigenvalue of the single-flip Metropolis matrix, by Lanczos on its symmetric form.

    Detailed balance makes sqrt(p) P / sqrt(p) symmetric: its off-diagonal elements are min(p, p') / (N sqrt(p p')).
    """
    states = np.arange(2**sites)
    rows, columns, values = [], [], []
    stay = np.ones(2**sites)
    for site in range(sites):
        other = states ^ (1 << site)
        move = np.minimum(1.0, probability[other] / probability) / sites
        stay -= move
        rows.append(states)
        columns.append(other)
        values.append(np.minimum(probability, probability[other]) / np.sqrt(probability * probability[other]) / sites)
    rows.append(states)
    columns.append(states)
    values.append(stay)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    matrix = sparse.coo_array(entries, shape=(2**sites, 2**sites)).tocsr()
    start = np.random.default_rng(0).normal(size=2**sites)
    found = eigsh(matrix, k=2, which="LA", v0=start, return_eigenvectors=False)
    return float(np.sort(found)[0])
