"""Fits against statsmodels, closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from seqtant.errors import InputError
from seqtant.stats.fits import fit_curve, fit_line


@pytest.fixture
def points():
    generator = np.random.default_rng(0)
    x = np.linspace(0, 5, 12)
    errors = generator.uniform(0.05, 0.5, size=12)
    return x, 1.0 + 0.7 * x + errors * generator.normal(size=12), errors


def test_weighted_line_is_statsmodels_wls(points):
    x, y, errors = points
    fit = fit_line(x, y, errors=errors)
    model = sm.WLS(y, sm.add_constant(x), weights=errors**-2).fit()
    np.testing.assert_allclose(fit.parameters, model.params, rtol=1e-7)
    np.testing.assert_allclose(fit.covariance, model.normalized_cov_params, rtol=1e-6)  # errors taken as they are
    assert fit.r_squared == pytest.approx(model.rsquared)
    assert fit.chi_squared == pytest.approx(model.ssr)
    assert fit.reduced_chi_squared == pytest.approx(model.scale)
    assert fit.p_value == pytest.approx(stats.chi2(10).sf(model.ssr))


def test_unweighted_line_is_statsmodels_ols_with_student_intervals(points):
    x, y, _ = points
    fit = fit_line(x, y)
    model = sm.OLS(y, sm.add_constant(x)).fit()
    np.testing.assert_allclose(fit.covariance, model.cov_params(), rtol=1e-6)
    low, high = model.conf_int()[1]
    slope = fit.estimate("slope")
    assert (slope.low, slope.high) == pytest.approx((low, high), rel=1e-6)
    assert fit.chi_squared is None
    assert fit.reduced_chi_squared is None
    mean = model.get_prediction([[1.0, 3.5]]).conf_int()[0]
    height = fit.combination([1.0, 3.5])
    assert (height.low, height.high) == pytest.approx(tuple(mean), rel=1e-6)


def test_weighted_intervals_cover_as_often_as_they_say():
    generator = np.random.default_rng(1)
    x, errors = np.arange(6.0), np.array([0.1, 0.2, 0.4, 0.1, 0.3, 0.2])
    hits = 0
    for _ in range(800):
        slope = fit_line(x, 2 - 0.5 * x + errors * generator.normal(size=6), errors=errors).estimate("slope")
        hits += slope.low < -0.5 < slope.high
    assert stats.binomtest(hits, 800, 0.95).pvalue > 1e-3


def test_curve_recovers_its_law_and_names_its_parameters():
    x = np.linspace(1, 10, 30)
    fit = fit_curve(lambda x, floor, scale, power: floor + scale * x**-power, x, 1.5 + 2 * x**-0.7, start=[1, 1, 1])
    assert fit.names == ("floor", "scale", "power")
    np.testing.assert_allclose(fit.parameters, [1.5, 2.0, 0.7], rtol=1e-5)
    assert fit.estimate("power", unit="1").unit == "1"


def test_two_points_with_errors_give_a_line_but_no_quality():
    fit = fit_line([0.0, 1.0], [1.0, 3.0], errors=[0.1, 0.1])
    assert fit.error("slope") == pytest.approx(0.1 * 2**0.5)
    assert (fit.reduced_chi_squared, fit.p_value) == (None, None)


@pytest.mark.parametrize(
    ("x", "y", "errors", "message"),
    [
        ([0, 1], [0, 1], None, "needs at least 3 points"),
        ([1, 1, 1], [0, 1, 2], None, "all are at 1"),
        ([0, 1, 2], [0, 1], None, "as many x, y and errors"),
        ([0, 1, 2], [0, 1, 2], [1, 0, 1], "must be positive"),
        ([0, 1, np.nan], [0, 1, 2], None, "x must hold"),
    ],
)
def test_points_that_fit_nothing_are_refused(x, y, errors, message):
    with pytest.raises(InputError, match=message):
        fit_line(x, y, errors=errors)


def test_a_fit_that_does_not_converge_says_so():
    with pytest.raises(InputError, match="does not converge"):
        fit_curve(lambda x, a, b: a + b + 0 * x, [0.0, 1.0, 2.0], [0.0, 1.0, 5.0])
