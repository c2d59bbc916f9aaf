"""Closed-form intervals against SciPy, statsmodels and the textbook."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.stats.intervals import clustered_mean, mean, overlap, share


def test_mean_is_scipys_one_sample_interval():
    values = np.random.default_rng(0).normal(size=17)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    estimate = mean(values, level=0.9)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((values.mean(), expected.low, expected.high))


def test_mean_of_differences_is_the_paired_interval():
    first, second = np.random.default_rng(1).normal(size=(2, 9))
    expected = stats.ttest_rel(first, second).confidence_interval()
    estimate = mean(first - second)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))


def test_one_value_has_no_interval():
    estimate = mean([3.0])
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (3.0, None, None, 1)


def test_clustered_mean_is_statsmodels_cluster_robust_intercept():
    generator = np.random.default_rng(2)
    clusters = generator.integers(8, size=60)
    values = generator.normal(size=60) + generator.normal(size=8)[clusters]
    robust = {"groups": clusters, "df_correction": True}
    model = sm.OLS(values, np.ones(60)).fit(cov_type="cluster", cov_kwds=robust, use_t=True)
    low, high = model.conf_int(0.05)[0]
    estimate = clustered_mean(values, clusters)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((values.mean(), low, high))
    assert estimate.clusters == 8


def test_clusters_of_one_are_the_plain_mean():
    values = np.random.default_rng(3).normal(size=12)
    plain, clustered = mean(values), clustered_mean(values, np.arange(12))
    assert (clustered.low, clustered.high) == pytest.approx((plain.low, plain.high))


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (3, 7), (7, 7), (190, 1000)])
def test_share_is_statsmodels_wilson(successes, n):
    estimate = share(successes, n, level=0.99)
    assert (estimate.low, estimate.high) == pytest.approx(proportion_confint(successes, n, 0.01, "wilson"), abs=1e-12)


def test_student_interval_covers_as_often_as_it_says():
    generator = np.random.default_rng(4)
    hits = sum(e.low < 1.0 < e.high for e in (mean(generator.normal(1.0, 2.0, size=4)) for _ in range(2000)))
    assert stats.binomtest(hits, 2000, 0.95).pvalue > 1e-3


@pytest.mark.parametrize("bad", [[], [1.0, float("nan")], [float("inf")]])
def test_values_that_are_no_numbers_are_refused(bad):
    with pytest.raises(InputError, match="only finite ones"):
        mean(bad)


def test_misfits_are_refused():
    with pytest.raises(InputError, match="2 values have 3 cluster names"):
        clustered_mean([1.0, 2.0], [1, 2, 3])
    with pytest.raises(InputError, match="5 successes in 4 trials"):
        share(5, 4)


@pytest.mark.parametrize(
    ("first", "second", "meet"),
    [((0, 2), (2, 4), True), ((0, 2), (2.1, 4), False), ((0, 9), (3, 4), True), ((-4, -2), (-1, 1), False)],
)
def test_intervals_overlap_if_a_point_lies_in_both(first, second, meet):
    one, two = (Estimate(value=sum(ends) / 2, low=ends[0], high=ends[1]) for ends in (first, second))
    assert overlap(one, two) is overlap(two, one) is meet


def test_a_number_without_an_interval_is_a_point():
    wide, inside, outside = Estimate(value=1, low=0, high=2), Estimate(value=0.5), Estimate(value=-0.5)
    assert overlap(wide, inside)
    assert not overlap(wide, outside)
    assert overlap(inside, inside)
