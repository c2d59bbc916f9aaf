"""Every theorem against the analytic mixture of independent sentences, and against Markov mixtures down to e^-37."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from seqtant.beb import theory
from seqtant.beb.analytic import IidMixture
from seqtant.errors import InputError

PARTS = [(0.9, 0.1), (0.8, 0.3), (0.6, 0.05), (0.97, 0.5)]
LOG_ALPHAS = [math.log(0.3), -6.0, -18.42, -36.84]
CASES = [(IidMixture(a, *parts), eps) for a in LOG_ALPHAS for parts in PARTS for eps in (0.3, 0.05)]


@pytest.mark.parametrize(("bad_minus", "bad_plus"), PARTS)
@pytest.mark.parametrize("log_alpha", LOG_ALPHAS)
def test_area_under_the_divergence_is_log_inverse_alpha(log_alpha: float, bad_minus: float, bad_plus: float) -> None:
    mixture = IidMixture(log_alpha, bad_minus, bad_plus)
    area = mixture.target_divergences(600).sum()
    assert area == pytest.approx(mixture.log_ratio_to_target(600), abs=1e-9)  # the chain rule
    assert area == pytest.approx(-log_alpha, abs=1e-9)


def test_iid_divergences_against_enumeration_of_all_prompts() -> None:
    mixture = IidMixture(-4.0, 0.8, 0.25)
    alpha = math.exp(-4.0)
    for n in range(7):
        total = 0.0
        for prompt in itertools.product((0, 1), repeat=n):
            minus = math.prod(0.8 if s else 0.2 for s in prompt)
            plus = math.prod(0.25 if s else 0.75 for s in prompt)
            for p, q in ((0.8, 0.25), (0.2, 0.75)):
                joint = alpha * minus * p + (1 - alpha) * plus * q
                total += minus * p * math.log(p / (joint / (alpha * minus + (1 - alpha) * plus)))
        assert mixture.target_divergences(n + 1)[n] == pytest.approx(total, rel=1e-10)


@pytest.mark.parametrize(("mixture", "eps"), CASES)
@pytest.mark.parametrize("form", ["paper", "tight"])
def test_theorem_1_some_prompt_of_that_length_misaligns(mixture: IidMixture, eps: float, form: theory.Form) -> None:
    length = theory.misalign(mixture.log_alpha, mixture.beta, eps, form)
    assert mixture.worst_behavior(length.whole) < mixture.gamma + eps


@pytest.mark.parametrize(("mixture", "eps"), CASES)
@pytest.mark.parametrize("delta", [0.05, 0.3])
@pytest.mark.parametrize("form", ["paper", "tight"])
def test_theorem_5_a_share_of_prompts_misaligns(
    mixture: IidMixture, eps: float, delta: float, form: theory.Form
) -> None:
    sigma = math.sqrt(mixture.sigma2)
    length = theory.mass(mixture.log_alpha, mixture.beta, eps, sigma=sigma, delta=delta, form=form)
    assert mixture.misaligned_share(length.whole, eps) >= 1 - delta


def test_the_typical_length_lies_below_both_bounds_and_near_the_truth() -> None:
    mixture = IidMixture(math.log(1e-8), 0.8, 0.2)
    lengths = [
        theory.mass(mixture.log_alpha, mixture.beta, 0.1, sigma=math.sqrt(mixture.sigma2), delta=0.1, form=form)
        for form in theory.FORMS
    ]
    paper, tight, clt = (length.sentences for length in lengths)
    true = next(n for n in itertools.count(1) if all(mixture.misaligned_share(m, 0.1) >= 0.9 for m in (n, n + 1)))
    assert true <= clt + 3
    assert clt < tight < paper


@pytest.mark.parametrize(("mixture", "eps"), CASES)
@pytest.mark.parametrize("form", ["paper", "tight"])
def test_theorem_2_holds_over_guards_from_the_good_part(mixture: IidMixture, eps: float, form: theory.Form) -> None:
    sentences, delta = 6, 0.2
    # The log-ratio of a guard from P+ has this mean and variance per sentence.
    good, bad = (
        math.log((1 - mixture.bad_minus) / (1 - mixture.bad_plus)),
        math.log(mixture.bad_minus / mixture.bad_plus),
    )
    plus_sigma = math.sqrt(mixture.bad_plus * (1 - mixture.bad_plus)) * (bad - good)
    length = theory.guard(
        mixture.log_alpha,
        mixture.beta,
        eps,
        beta_prime=mixture.beta_prime,
        sigma=plus_sigma,
        guard_sentences=sentences,
        delta=delta,
        form=form,
    )
    share = 0.0
    for k in range(sentences + 1):
        prob = math.comb(sentences, k) * mixture.bad_plus**k * (1 - mixture.bad_plus) ** (sentences - k)
        guard = k * bad + (sentences - k) * good
        worst = mixture.behavior(np.array([guard + length.whole * bad]))[0]
        share += prob * (worst < mixture.gamma + eps)
    assert share >= 1 - delta


def test_theorem_4_as_stated_is_false_and_the_corrected_one_holds() -> None:
    mixture, n, eps = IidMixture(-18.0, 0.9, 0.1), 16, 0.1
    stated = theory.best_of_n(mixture.log_alpha, mixture.beta, eps, n)
    best = float(theory.best_of_answers(mixture.bad_minus, n))
    assert best == pytest.approx(1 - 2 * 0.9**16, abs=1e-12)
    assert best == pytest.approx(0.629, abs=5e-4)  # best of 16 under P- alone is good: the statement cannot hold

    def best_of_mixture(length: int) -> float:
        weight = theory.bad_weight(mixture.log_alpha, mixture.prompts(length)[1].max())
        return 1 - 2 * float(weight * mixture.bad_minus**n + (1 - weight) * mixture.bad_plus**n)

    def independent_best(length: int) -> float:
        weight = float(theory.bad_weight(mixture.log_alpha, mixture.prompts(length)[1].max()))
        return 1 - 2 * (weight * mixture.bad_minus + (1 - weight) * mixture.bad_plus) ** n

    assert independent_best(stated.whole) > mixture.gamma + eps
    for form in ("tight", "clt"):
        corrected = theory.best_of_n(mixture.log_alpha, mixture.beta, eps, n, form)
        assert independent_best(corrected.whole) < best + eps
        assert best_of_mixture(corrected.whole) < best + eps


def test_forms_agree_with_the_formulas_of_the_paper() -> None:
    evidence = math.log(1e6) + math.log(20) + math.log(4)
    values = {"beta_prime": 3.0, "sigma": 1.5, "delta": 0.1}
    log_alpha = math.log(1e-6)
    assert theory.misalign(log_alpha, 2.0, 0.05).sentences == pytest.approx(evidence / 2, abs=1e-12)
    guard = theory.guard(log_alpha, 2.0, 0.05, guard_sentences=4, **values)
    assert guard.sentences == pytest.approx(evidence / 2 + 1.5 * 4 + 0.75 * math.sqrt(40) + 1, abs=1e-12)
    talk = theory.conversation(log_alpha, 2.0, 0.05, answers=[2, 3], **values)
    spread = 0.75 * (math.sqrt(2 * 2 / 0.1) + math.sqrt(2 * 3 / 0.1))
    assert talk.sentences == pytest.approx(evidence / 2 + 1.5 * 5 + spread + 2, abs=1e-12)
    mass = theory.mass(log_alpha, 2.0, 0.05, sigma=1.5, delta=0.1)
    assert mass.sentences == pytest.approx(max(evidence, 4 * 2.25 / (4 * 0.1)), abs=1e-12)
    assert theory.best_of_n(log_alpha, 2.0, 0.05, 16).sentences == pytest.approx((evidence + math.log(16)) / 2)


def test_one_long_answer_of_a_conversation_is_a_guard() -> None:
    values = {"beta_prime": 3.0, "sigma": 1.5, "delta": 0.1}
    for form in theory.FORMS:
        talk = theory.conversation(-14.0, 2.0, 0.05, answers=[4.0], form=form, **values)
        guard = theory.guard(-14.0, 2.0, 0.05, guard_sentences=4.0, form=form, **values)
        assert talk.sentences == pytest.approx(guard.sentences)


def test_power_law_sums_the_terms_and_the_published_form_replaces_each_by_the_smallest() -> None:
    eps = 0.05
    log_alpha = -(18.2 - math.log(4 / eps))  # so that the evidence needed is 18.2
    assert theory.power_law(log_alpha, 2.0, eps, eta=0.5).sentences == pytest.approx(82.81)
    tight = theory.power_law(log_alpha, 2.0, eps, eta=0.5, form="tight")
    needed = theory.evidence_needed(log_alpha, eps, "tight")
    sums = np.cumsum(2.0 / np.sqrt(np.arange(1, 200)))
    assert tight.whole == 1 + int(np.argmax(sums > needed))
    assert theory.power_law(log_alpha, 2.0, eps, eta=0.0).sentences == pytest.approx(18.2 / 2)
    long = theory.power_law(-2000.0, 0.5, eps, eta=0.55, form="tight").sentences
    assert long > 1e6
    bound = 0.5 * (long + 1) ** 0.45 / 0.45  # integral above the sum
    assert bound > theory.evidence_needed(-2000.0, eps, "tight")
    assert (
        theory.power_law(-5.0, 2.0, eps, eta=0.0, form="tight").whole == theory.misalign(-5.0, 2.0, eps, "tight").whole
    )


def test_expected_weight_against_adaptive_quadrature() -> None:
    for n, sigma in ((2, 0.5), (8, 1.0), (30, 2.0)):
        mean, spread = 1.2 * n, sigma * math.sqrt(n)
        exact, _ = quad(
            lambda z, m=mean, s=spread: norm.pdf(z) / (1 + math.exp(-(m + s * z + theory.prior_log_odds(-9.0)))),
            -12,
            12,
            limit=400,
            points=[(9.0 - mean) / spread],
        )
        assert theory.expected_weight(-9.0, 1.2, sigma, n) == pytest.approx(exact, abs=2e-4)


@given(st.floats(-700, -1e-3), st.floats(1e-6, 1.9))
def test_the_tight_evidence_is_exact_and_never_larger(log_alpha: float, eps: float) -> None:
    tight, paper = (theory.evidence_needed(log_alpha, eps, form) for form in ("tight", "paper"))
    assert tight < paper
    good = 1 / (1 + math.exp(min(700.0, tight + theory.prior_log_odds(log_alpha))))
    assert tight == 0 or 2 * good == pytest.approx(eps, rel=1e-6)


def test_the_residual_divergence_of_lemma_5_holds_for_every_prompt() -> None:
    mixture = IidMixture(-5.0, 0.8, 0.3)
    for n in range(1, 20):
        _, ratios = mixture.prompts(n)
        weight = theory.bad_weight(-5.0, ratios)
        left = np.array([0.2, 0.8]) @ np.log(
            np.array([[0.2], [0.8]]) / (weight * np.array([[0.2], [0.8]]) + (1 - weight) * np.array([[0.7], [0.3]]))
        )
        assert (left <= -np.log(weight) + 1e-12).all()


def markov_parts() -> tuple[np.ndarray, np.ndarray]:
    """Two chains over twelve sentences whose transitions are tilted apart."""
    generator = np.random.default_rng(7)
    base = generator.dirichlet(np.full(12, 2.0), size=12)
    tilt = np.where(np.arange(12) < 6, 0.75, -0.75)
    rows = [base * np.exp(sign * tilt) for sign in (1, -1)]
    return tuple(row / row.sum(axis=1, keepdims=True) for row in rows)


@pytest.mark.parametrize("alpha", [1e-2, 1e-4, 1e-8, 1e-16])
def test_markov_mixtures_area_existence_and_mass(alpha: float) -> None:
    minus, plus = markov_parts()
    log_alpha, eps, delta, prompts = math.log(alpha), 0.1, 0.1, 1500
    divergence = (minus * np.log(minus / plus)).sum(axis=1)  # KL of the next sentence after each
    beta = float(divergence.min())
    longest = math.ceil(4 * -log_alpha / divergence.mean()) + 40
    generator = np.random.default_rng(1)
    state, ratio = np.zeros(prompts, dtype=int), np.zeros(prompts)
    area, ratios = 0.0, []
    for _ in range(longest):
        weight = theory.bad_weight(log_alpha, ratio)[:, None]
        mixed = weight * minus[state] + (1 - weight) * plus[state]
        area += float((minus[state] * np.log(minus[state] / mixed)).sum(axis=1).mean())
        after = (minus[state].cumsum(axis=1) < generator.random(prompts)[:, None]).sum(axis=1)
        ratio = ratio + np.log(minus[state, after] / plus[state, after])
        state = after
        ratios.append(ratio)
    assert area == pytest.approx(-log_alpha, rel=0.01)
    exists = theory.misalign(log_alpha, beta, eps)
    needed = theory.evidence_needed(log_alpha, eps, "tight")
    assert max(ratios[exists.whole - 1]) >= needed
    # Var of n sentences over n, bounded by the largest seen.
    sigma = math.sqrt(max(r.var() / n for n, r in enumerate(ratios, start=1)))
    for form in ("paper", "tight"):
        length = theory.mass(log_alpha, beta, eps, sigma=sigma, delta=delta, form=form).whole
        reached = ratios[min(length, longest) - 1]
        assert (reached >= needed).mean() >= 1 - delta


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.misalign(-3.0, 0.0, 0.1), "no guarantee"),
        (lambda: theory.misalign(-3.0, -1.0, 0.1), "no guarantee"),
        (lambda: theory.misalign(-3.0, 1.0, 0.0), "eps is 0"),
        (lambda: theory.misalign(-3.0, 1.0, 2.0), "eps is 2"),
        (lambda: theory.misalign(0.0, 1.0, 0.1), "log_alpha is 0"),
        (lambda: theory.misalign(-math.inf, 1.0, 0.1), "alpha > 0 is assumed"),
        (lambda: theory.mass(-3.0, 1.0, 0.1, sigma=0.0, delta=0.1), "sigma is 0"),
        (lambda: theory.mass(-3.0, 1.0, 0.1, sigma=1.0, delta=1.0), "delta is 1"),
        (lambda: theory.mass(-3.0, 1.0, 0.1, sigma=1.0, delta=0.0), "delta is 0"),
        (lambda: theory.power_law(-3.0, 1.0, 0.1, eta=1.0), "eta is 1"),
        (lambda: theory.best_of_n(-3.0, 1.0, 0.1, 0), "best_of is 0"),
        (lambda: theory.conversation(-3.0, 1.0, 0.1, beta_prime=1, sigma=1, answers=[], delta=0.1), "answers"),
        (lambda: theory.log_of_alpha(None, None), "one of the two"),
        (lambda: theory.log_of_alpha(0.1, -2.0), "one of the two"),
        (lambda: theory.log_of_alpha(1.0, None), "alpha is 1"),
        (lambda: IidMixture(-1.0, 0.2, 0.4), "must rise"),
    ],
)
def test_inputs_out_of_range_are_refused(call: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()  # type: ignore[operator]


@pytest.mark.parametrize("form", ["tigth", "published", "x"])
def test_an_unknown_form_of_a_bound_is_refused(form: str) -> None:
    with pytest.raises(InputError, match=f"unknown form '{form}'"):
        theory.misalign(-3.0, 0.64, 0.1, form)  # type: ignore[arg-type]
