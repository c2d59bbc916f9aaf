"""Bootstraps against exact enumeration of all resamples, and the randomness they are given."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from seqtant.errors import InputError
from seqtant.stats.intervals import bootstrap, cluster_bootstrap, percentile


def test_interval_is_that_of_all_resamples():
    values = np.array([0.3, 1.0, 2.2, 5.0])
    every = np.array([np.mean(draw) for draw in itertools.product(values, repeat=4)])
    estimate = bootstrap(np.mean, values, generator=np.random.default_rng(0), resamples=40_000)
    assert (estimate.low, estimate.high) == pytest.approx(np.quantile(every, [0.025, 0.975]), abs=0.15)
    assert estimate.value == values.mean()


def test_paired_resampling_keeps_the_pairs():
    first = np.arange(10.0)

    def mean_difference(a, b, axis):
        return a.mean(axis=axis) - b.mean(axis=axis)

    together = bootstrap(mean_difference, first, first + 1, generator=np.random.default_rng(0), paired=True)
    apart = bootstrap(mean_difference, first, first + 1, generator=np.random.default_rng(0))
    assert (together.low, together.high) == pytest.approx((-1.0, -1.0))
    assert apart.low < -2 < 0 < apart.high


def test_cluster_interval_is_that_of_all_resampled_clusters():
    groups = {"a": [1.0, 2.0], "b": [4.0], "c": [5.0, 5.0, 8.0], "d": [0.0]}
    values = [value for group in groups.values() for value in group]
    names = [name for name, group in groups.items() for _ in group]
    every = [np.mean([v for name in draw for v in groups[name]]) for draw in itertools.product(groups, repeat=4)]
    estimate = cluster_bootstrap(values, names, generator=np.random.default_rng(1), resamples=40_000)
    assert (estimate.low, estimate.high) == pytest.approx(np.quantile(every, [0.025, 0.975]), abs=0.05)
    assert (estimate.n, estimate.clusters) == (7, 4)


def test_the_generator_decides_and_nothing_else_moves():
    before = np.random.get_state()[1].copy()
    first, again, other = (
        cluster_bootstrap(np.sqrt(np.arange(60.0)), np.arange(60) // 2, generator=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    assert first == again != other
    assert (np.random.get_state()[1] == before).all()


def test_too_little_is_refused():
    generator = np.random.default_rng(0)
    with pytest.raises(InputError, match="at least two values"):
        bootstrap(np.mean, [1.0], generator=generator)
    with pytest.raises(InputError, match="of equal size if paired"):
        bootstrap(lambda a, b, axis: a.mean(axis), [1.0, 2.0], [1.0, 2.0, 3.0], generator=generator, paired=True)
    with pytest.raises(InputError, match="at least two clusters"):
        cluster_bootstrap([1.0, 2.0], ["a", "a"], generator=generator)
    with pytest.raises(InputError, match="draws must hold"):
        percentile(0.0, [np.nan])
