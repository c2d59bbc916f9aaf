"""log(1/alpha) at several stops: the same for every exact mixture, apart for models that learn by another rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from seqtant.beb.estimation.alpha import LARGEST_SYSTEMATIC, AlphaDiagnostics, AlphaEstimate, diagnose, estimate_alpha
from seqtant.beb.prompts.divergence import Evidence
from seqtant.beb.theory import bad_weight
from seqtant.findings import Estimate
from tests.beb.samples import BETA, coins


def diagnostics_of(alpha: AlphaEstimate, to_model: Evidence) -> AlphaDiagnostics:
    return diagnose(to_model, alpha, BETA, Estimate(value=alpha.log_inverse_alpha))


@pytest.mark.parametrize("log_inverse_alpha", [0.7, 3.0, 9.0, 18.42])
def test_an_exact_mixture_reads_the_same_at_every_stop_even_from_few_prompts(log_inverse_alpha: float) -> None:
    to_model, to_plus = coins(log_inverse_alpha, prompts=10, sentences=80)
    alpha = estimate_alpha(to_model, to_plus)
    assert alpha.other_stops is not None
    assert [alpha.log_inverse_alpha, *alpha.other_stops] == pytest.approx([log_inverse_alpha] * 3, abs=1e-8)
    diagnostics = diagnostics_of(alpha, to_model)
    assert diagnostics.consistent
    assert not diagnostics.inconsistent


def test_every_stop_that_looks_at_the_text_alone_has_the_mixture_law() -> None:
    # The law itself, at stops by a rule of its own: the third tail, or after nine sentences.
    to_model, to_plus = coins(3.0, prompts=200)
    sums, known = to_model.log_ratio.cumsum(axis=1), to_plus.log_ratio.cumsum(axis=1)
    tails = (to_plus.log_ratio < 0).cumsum(axis=1) >= 3
    stops = np.minimum(np.where(tails.any(axis=1), tails.argmax(axis=1), 8), 8)
    rows = np.arange(len(stops))
    assert sums[rows, stops] - np.log(bad_weight(-3.0, known[rows, stops])) == pytest.approx(3.0, abs=1e-9)


@pytest.mark.parametrize("surest", [0.9, 0.8])
def test_a_model_that_is_never_sure_is_read_better_before_that_shows(surest: float) -> None:
    to_model, to_plus = coins(3.0, lambda odds: surest * expit(odds))
    alpha = estimate_alpha(to_model, to_plus)
    assert alpha.other_stops is not None
    assert abs(alpha.log_inverse_alpha - 3.0) < 0.11
    assert abs(alpha.other_stops[1] - 3.0) > 1.5 * abs(alpha.log_inverse_alpha - 3.0)
    assert not diagnostics_of(alpha, to_model).refusals


@pytest.mark.parametrize("factor", [0.5, 0.7])
@pytest.mark.parametrize("log_inverse_alpha", [3.0, 4.0])
def test_a_model_that_learns_too_slowly_from_its_prompt_is_refused(factor: float, log_inverse_alpha: float) -> None:
    to_model, to_plus = coins(log_inverse_alpha, lambda odds: expit(factor * odds))
    alpha = estimate_alpha(to_model, to_plus)
    assert abs(alpha.log_inverse_alpha - log_inverse_alpha) > 0.25
    diagnostics = diagnostics_of(alpha, to_model)
    assert not diagnostics.unconverged
    assert any("stopped sooner or later" in reason for reason in diagnostics.refusals)
    assert not diagnostics.consistent
    assert diagnostics.systematic is not None
    assert diagnostics.systematic > LARGEST_SYSTEMATIC


def test_errors_that_no_sentence_is_spared_are_floor_and_not_inconsistency() -> None:
    (to_model, to_plus), generator = coins(3.5, prompts=1500), np.random.default_rng(1)
    noise = generator.normal(0.03, np.sqrt(0.06), to_model.divergence.shape)
    alpha = estimate_alpha(Evidence(to_model.divergence + 0.03, to_model.log_ratio + noise), to_plus)
    assert alpha.floor == pytest.approx(0.03, abs=0.005)
    assert alpha.log_inverse_alpha == pytest.approx(3.5, abs=0.06)
    assert alpha.systematic is not None
    assert alpha.systematic < 0.06


def test_a_mixture_of_another_weight_cannot_be_told_from_errors_before_the_first_stop() -> None:
    # What no test of this kind can see, and the documentation says so: up to there the model is that other mixture.
    to_model, to_plus = coins(3.0, lambda odds: expit(odds - 0.5))
    alpha = estimate_alpha(to_model, to_plus)
    assert alpha.systematic == pytest.approx(0.0, abs=1e-8)
    assert alpha.log_inverse_alpha == pytest.approx(np.log1p(np.exp(np.log(np.expm1(3.0)) + 0.5)), abs=1e-8)


def test_without_a_p_plus_there_is_one_reading() -> None:
    to_model, _ = coins(3.0)
    alpha = estimate_alpha(to_model, None)
    assert alpha.other_stops is None
    assert alpha.systematic is None
    diagnostics = diagnostics_of(alpha, to_model)
    assert [each.status for each in diagnostics.assumptions()][1] == "not checked"


@pytest.mark.parametrize(
    ("floor", "value", "other", "refused"),
    [
        (0.50, 3.0, 3.125, ""),
        (0.51, 3.0, 3.0, "the floor of 0.510 nats per sentence is 26 % of beta"),
        (0.0, 3.0, 3.126, "prompts stopped sooner or later read 3.00 to 3.13 nats"),
        (0.0, 10.0, 10.29, ""),  # 3 % of log(1/alpha) is more than an eighth of a nat
        (0.0, 10.0, 10.31, "prompts stopped sooner or later read 10.00 to 10.31 nats"),
        (0.76, 3.0, 3.0, "the floor sums to 3.04 nats, more than the 3.00 above it"),
    ],
)
def test_the_limits_of_both_checks(floor: float, value: float, other: float, refused: str) -> None:
    falling = np.tile([2.0, 1.5, 1.0, 0.5], (8, 1))
    alpha = AlphaEstimate(value, raw=value, floor=floor, tail=0.0, other_stops=(value, other))
    found = diagnose(Evidence(falling, falling), alpha, beta=2.0, estimate=Estimate(value=value)).refusals
    assert (not found) if not refused else any(reason.startswith(refused) for reason in found)


@pytest.mark.parametrize(("largest", "exact"), [(5.25, True), (5.26, False)])
def test_evidence_may_exceed_the_upper_end_by_a_quarter_nat(largest: float, exact: bool) -> None:
    ratio = np.array([[largest, -1.0], [1.0, 1.0]])
    alpha = AlphaEstimate(4.0, raw=4.0, floor=0.0, tail=0.0)
    found = diagnose(Evidence(np.abs(ratio), ratio), alpha, beta=2.0, estimate=Estimate(value=4.0, high=5.0))
    assert found.exact is found.consistent is exact
    assert found.excess == pytest.approx(largest - 4.0)
