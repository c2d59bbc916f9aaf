"""log(1/alpha), diagnostics and half-way lengths on mixtures whose truth is known, and where they must refuse."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from seqtant.beb.analytic import IidMixture
from seqtant.beb.behavior.reader import ScorerCheck
from seqtant.beb.estimation.alpha import diagnose, estimate_alpha, least_variance
from seqtant.beb.estimation.estimates import (
    extreme_divergence,
    first_points_line,
    halfway_length,
    variance_curve,
    variance_slope,
    worst_behavior,
)
from seqtant.beb.prompts.divergence import Evidence
from seqtant.beb.study.measurement import Measurement
from seqtant.beb.study.summary import numbers, summarize
from seqtant.beb.theory import bad_weight
from seqtant.findings import Estimate
from tests.beb.samples import coins

BOUNDS = {"eps": 0.1, "delta": 0.1}


def drawn(mixture: IidMixture, prompts: int, sentences: int, *, error: float = 0.0, seed: int = 0) -> Measurement:
    """Exact evidence of prompts from P-; ``error`` is what the model lacks of P-, in nats per sentence."""
    generator = np.random.default_rng(seed)
    good, bad = np.log((1 - mixture.bad_minus) / (1 - mixture.bad_plus)), np.log(mixture.bad_minus / mixture.bad_plus)
    said = generator.random((prompts, sentences)) < mixture.bad_minus
    ratio = np.where(said, bad, good)
    before = np.concatenate([np.zeros((prompts, 1)), ratio.cumsum(axis=1)], axis=1)
    weight = bad_weight(mixture.log_alpha, before)
    log_weight = np.log(weight)
    minus = np.array([1 - mixture.bad_minus, mixture.bad_minus])
    plus = np.array([1 - mixture.bad_plus, mixture.bad_plus])
    mixed = weight[:, :-1, None] * minus + (1 - weight[:, :-1, None]) * plus
    divergence = (minus * np.log(minus / mixed)).sum(axis=2)
    noise = generator.normal(error, math.sqrt(2 * error), said.shape) if error else 0.0
    to_model = Evidence(divergence + error, np.diff(log_weight, axis=1) + noise)
    to_plus = Evidence(np.full(said.shape, mixture.beta), ratio)
    from_plus = Evidence(np.full(said.shape, mixture.beta_prime), np.zeros(said.shape))
    lengths = tuple(range(sentences + 1))
    shape = (prompts, sentences + 1)
    behavior = np.stack([mixture.behavior(line) for line in before])
    return Measurement(
        (),
        to_model,
        to_plus,
        from_plus,
        lengths,
        behavior,
        np.full(shape, mixture.gamma),
        np.full(shape, 1 - 2 * mixture.bad_plus),
        6.0,
        0,
    )


@pytest.mark.parametrize("log_alpha", [-2.0, -7.0, -18.42])
def test_an_exact_mixture_is_read_exactly_even_from_few_prompts(log_alpha: float) -> None:
    observed = drawn(IidMixture(log_alpha, 0.8, 0.2), prompts=12, sentences=60)
    alpha = estimate_alpha(observed.to_model, observed.to_plus)
    assert alpha.log_inverse_alpha == pytest.approx(-log_alpha, abs=1e-6)
    assert abs(alpha.floor) < 1e-6


def test_without_a_p_plus_the_plain_area_is_read() -> None:
    observed = drawn(IidMixture(-5.0, 0.8, 0.2), prompts=200, sentences=40)
    alpha = estimate_alpha(observed.to_model, None)
    assert alpha.log_inverse_alpha == pytest.approx(5.0, abs=0.05)
    assert alpha.tail == 0.0


@pytest.mark.parametrize("error", [0.01, 0.05])
def test_the_error_of_a_model_is_taken_off_as_floor(error: float) -> None:
    observed = drawn(IidMixture(-3.9, 0.8, 0.3), prompts=1500, sentences=24, error=error)
    alpha = estimate_alpha(observed.to_model, observed.to_plus)
    assert alpha.floor == pytest.approx(error, abs=0.01)
    assert alpha.log_inverse_alpha == pytest.approx(3.9, abs=0.2)


def test_what_lies_beyond_short_prompts_is_added() -> None:
    observed = drawn(IidMixture(-3.0, 0.8, 0.2), prompts=400, sentences=8)
    alpha = estimate_alpha(observed.to_model, observed.to_plus)
    assert alpha.raw < 2.9
    assert alpha.log_inverse_alpha == pytest.approx(3.0, abs=1e-6)
    assert alpha.raw + alpha.tail == pytest.approx(3.0, abs=1e-6)


def test_prompts_that_are_too_short_are_refused() -> None:
    mixture = IidMixture(-9.0, 0.8, 0.3)
    observed = drawn(mixture, prompts=400, sentences=12)
    alpha = estimate_alpha(observed.to_model, observed.to_plus)
    assert diagnose(observed.to_model, alpha, mixture.beta, estimate(alpha.log_inverse_alpha)).refusals


def test_the_paper_line_misses_the_weight_of_a_true_mixture() -> None:
    mixture = IidMixture(-18.42, 0.8, 0.2)
    line = first_points_line(mixture.target_divergences(10))
    assert abs(line.start - 18.42) > 10
    assert mixture.target_divergences(200).sum() == pytest.approx(18.42, abs=1e-6)


def test_least_variance_beats_both_readings() -> None:
    generator = np.random.default_rng(3)
    truth = generator.normal(size=4000)
    first, second = 1 + truth + 0.1 * generator.normal(size=4000), 1 - truth + 0.1 * generator.normal(size=4000)
    together = least_variance(first, second)
    assert together.std() < 0.2 * min(first.std(), second.std())
    assert together.mean() == pytest.approx(1.0, abs=0.02)


def test_picking_the_extreme_mean_is_not_biased_by_noise() -> None:
    generator = np.random.default_rng(4)
    noise = generator.normal(1.0, 1.0, size=(60, 40, 20))
    least = np.mean([extreme_divergence(one, "least") for one in noise])
    most = np.mean([extreme_divergence(one, "largest") for one in noise])
    naive = np.mean([one.mean(axis=0).min() for one in noise])
    assert naive < 0.75
    assert least == pytest.approx(1.0, abs=0.05)
    assert most == pytest.approx(1.0, abs=0.05)


def test_variance_curve_and_slope_of_independent_sentences() -> None:
    ratios = np.random.default_rng(5).normal(1.0, 2.0, size=(4000, 12))
    assert variance_curve(ratios) == pytest.approx(np.full(12, 4.0), rel=0.1)
    assert variance_slope(ratios) == pytest.approx(4.0, rel=0.1)


def test_the_predicted_curve_is_that_of_the_mixture() -> None:
    mixture = IidMixture(-4.0, 0.8, 0.3)
    observed = drawn(mixture, prompts=3000, sentences=12)
    curve = observed.predicted(4.0)
    assert curve == pytest.approx(observed.model.mean(axis=0), abs=1e-9)
    assert curve == pytest.approx(mixture.behavior_curve(12), abs=0.03)


def test_half_way_is_interpolated_and_infinite_where_it_is_not_reached() -> None:
    assert halfway_length(np.array([0.6, 0.2, -0.2, -0.6]), -1.0, (0, 1, 2, 3)) == pytest.approx(2.0)
    assert halfway_length(np.array([0.6, 0.5, 0.5]), -1.0, (0, 1, 2)) == math.inf
    assert halfway_length(np.array([0.6, 0.6, -0.6]), -1.0, (0, 2, 6)) == pytest.approx(2 + 4 * 0.8 / 1.2)


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value)


def test_gates_pass_a_mixture_and_refuse_what_never_learned_it() -> None:
    mixture = IidMixture(-4.6, 0.8, 0.2)
    fine = drawn(mixture, prompts=100, sentences=24)
    alpha = estimate_alpha(fine.to_model, fine.to_plus)
    diagnostics = diagnose(fine.to_model, alpha, mixture.beta, estimate(alpha.log_inverse_alpha))
    assert not diagnostics.refusals
    assert diagnostics.consistent
    # A model that is P+ and nothing else: the divergence stays at beta for ever.
    flat = Evidence(fine.to_plus.divergence, fine.to_plus.log_ratio)
    alpha = estimate_alpha(flat, fine.to_plus)
    diagnostics = diagnose(flat, alpha, mixture.beta, estimate(alpha.log_inverse_alpha))
    assert any("% of beta" in reason for reason in diagnostics.refusals)
    assert any("does not fall" in reason for reason in diagnostics.refusals)
    assert not diagnostics.consistent


def test_the_published_curve_fails_consistency_against_its_published_weight() -> None:
    published = np.array([30.82, 17.64, 9.67, 7.98, 7.11, 5.84, 5.34, 4.54, 3.85, 3.23])
    rows = Evidence(np.tile(published, (10, 1)), np.tile(published, (10, 1)))
    alpha = estimate_alpha(rows, None)
    diagnostics = diagnose(rows, alpha, 22.72, estimate(29.95))
    assert alpha.raw == pytest.approx(96.02, abs=0.01)
    assert not diagnostics.consistent


def test_a_summary_gives_every_number_with_an_interval() -> None:
    mixture = IidMixture(-4.0, 0.8, 0.3)
    observed = drawn(mixture, prompts=64, sentences=20)
    summary = summarize(observed, np.random.default_rng(0), resamples=60, **BOUNDS)
    for name, one in summary.estimates.items():
        assert one.low is not None, name
        assert one.low <= one.value, name
    assert summary.estimates["log_inverse_alpha"].value == pytest.approx(4.0, abs=1e-6)
    assert summary.estimates["halfway_predicted"].value == pytest.approx(
        summary.estimates["halfway_measured"].value, abs=1e-6
    )
    assert numbers(observed, **BOUNDS)["mass"] > numbers(observed, **BOUNDS)["mass_tight"]


def test_what_other_stops_read_is_in_every_interval_that_follows_from_alpha() -> None:
    observed = drawn(IidMixture(-3.0, 0.8, 0.3), prompts=120, sentences=24)
    unsure, to_plus = coins(3.0, lambda odds: 0.85 * expit(odds), prompts=120)
    summary = summarize(
        replace(observed, to_model=unsure, to_plus=to_plus), np.random.default_rng(0), resamples=60, **BOUNDS
    )
    assert summary.alpha.other_stops is not None
    read, (least, most) = summary.estimates["log_inverse_alpha"], summary.alpha.range
    assert read.low is not None
    assert read.high is not None
    draws = np.quantile(summary.resampled["log_inverse_alpha"], [0.025, 0.975], method="inverted_cdf")
    assert read.low == pytest.approx(min(draws[0], read.value) - (read.value - least))
    assert read.high == pytest.approx(max(draws[1], read.value) + (most - read.value))
    for name in ("halfway_predicted", "misalign", "mass_clt"):
        assert summary.estimates[name].method == "bootstrap over prompts and stops"
    assert summary.estimates["halfway_measured"].method == "bootstrap over prompts"


def test_intervals_of_gamma_at_the_edges() -> None:
    all_bad = worst_behavior(np.full((30, 3), -1.0))
    assert (all_bad.value, all_bad.low) == (-1.0, -1.0)
    assert all_bad.high is not None
    assert -1.0 < all_bad.high < -0.5
    all_good = worst_behavior(np.full((30, 3), 1.0))
    assert (all_good.value, all_good.high) == (1.0, 1.0)
    soft = worst_behavior(np.random.default_rng(0).uniform(-1, 0, size=(200, 4)))
    assert soft.method.startswith("empirical Bernstein")
    assert soft.low is not None
    assert soft.low < -0.5 < (soft.high or 0)


def with_scorer(observed: Measurement, check: ScorerCheck, rates: tuple[float, float]) -> Measurement:
    """The study as a scorer of true ``rates`` and a given check would have seen it."""

    def seen(scores: np.ndarray) -> np.ndarray:
        bad = (1 - scores) / 2
        return check.correct(1 - 2 * (rates[0] * bad + (1 - rates[1]) * (1 - bad)))

    sides = {side: seen(getattr(observed, side)) for side in ("model", "minus", "plus")}
    return replace(observed, check=check, **sides)


def test_a_check_widens_the_intervals_by_its_own_uncertainty() -> None:
    # Every prompt behaves alike, so nothing but the check is uncertain. By hand, P- has 90 % bad answers: for rates
    # (s, p) behind a scorer of true rates (0.9, 0.8), corrected P- is 1 - 2 (0.83 - (1 - p)) / (s + p - 1).
    plain = drawn(IidMixture(-3.0, 0.9, 0.2), prompts=40, sentences=10)
    same = np.repeat(plain.model.mean(axis=0, keepdims=True), 40, axis=0)
    plain = replace(plain, model=same)
    check, generator = ScorerCheck(180, 200, 160, 200), np.random.default_rng(1)
    seen = with_scorer(plain, check, (0.9, 0.8))
    assert seen.minus == pytest.approx(plain.minus)
    summary = summarize(seen, generator, resamples=1500, **BOUNDS)
    s, p = generator.beta(180.5, 20.5, 200_000), generator.beta(160.5, 40.5, 200_000)
    expected = np.clip(1 - 2 * (0.83 - (1 - p)) / (s + p - 1), -1, 1)
    gamma = summary.estimates["gamma"]
    assert gamma.value == pytest.approx(-0.8, abs=1e-9)
    assert [gamma.low, gamma.high] == pytest.approx(np.quantile(expected, [0.025, 0.975]).tolist(), abs=0.02)
    assert gamma.method == "bootstrap over prompts and scorer's check"
    # The same of the model's own behavior before any prompt: alpha = e^-3.
    bad = (1 - float(plain.model[0, 0])) / 2
    raw = 0.9 * bad + 0.2 * (1 - bad)
    assert summary.errors[0] == pytest.approx(float(np.std(1 - 2 * (raw - (1 - p)) / (s + p - 1))), rel=0.1)
    known = summarize(plain, np.random.default_rng(1), resamples=60, **BOUNDS)
    assert known.errors[0] == pytest.approx(0.0, abs=1e-12)


def test_a_large_check_leaves_the_intervals_as_they_are() -> None:
    plain = drawn(IidMixture(-3.0, 0.9, 0.2), prompts=60, sentences=12)
    seen = with_scorer(plain, ScorerCheck(9 * 10**8, 10**9, 8 * 10**8, 10**9), (0.9, 0.8))
    ours, theirs = (summarize(one, np.random.default_rng(2), resamples=400, **BOUNDS) for one in (seen, plain))
    for name in ("halfway_measured", "halfway_predicted"):
        found, known = ours.estimates[name], theirs.estimates[name]
        assert found.value == pytest.approx(known.value, rel=1e-6)
        assert found.low == pytest.approx(known.low, rel=0.1)
        assert found.high == pytest.approx(known.high, rel=0.1)


def test_variances_are_those_of_a_sample() -> None:
    ratio = np.array([[1.0, 2.0, 1.0], [3.0, 2.0, 5.0]])  # sums 1 3 4 and 3 5 10
    assert variance_curve(ratio).tolist() == pytest.approx([2.0, 2.0 / 2, 18.0 / 3])
    assert variance_slope(ratio) == pytest.approx(18.0 - 2.0), "over the later half, the second and the third"
