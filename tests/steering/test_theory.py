"""The closed forms against thousands of random instances, Monte Carlo and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from seqtant.steering import theory


def aligned(logits: np.ndarray, good: np.ndarray) -> float:
    p = softmax(logits)
    return float((p[good].sum() - p[~good].sum()) / p.sum())


def random_instance(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Logits, their change per unit strength, which tokens are good, and the exact least pairwise gap (above 0)."""
    size = int(generator.integers(2, 12))
    good = np.zeros(size, dtype=bool)
    good[: int(generator.integers(1, size))] = True
    logits, change = generator.normal(0, 2, size), generator.normal(0, 1, size)
    change[good] += change[~good].max() - change[good].min() + generator.uniform(0.01, 2)
    return logits, change, good, float(change[good].min() - change[~good].max())


def test_guarantee_holds_on_every_instance_and_fails_without_the_half() -> None:
    generator = np.random.default_rng(0)
    broken = 0
    for _ in range(5000):
        logits, change, good, margin = random_instance(generator)
        strength = float(generator.uniform(0, 4))
        after = aligned(logits + strength * change, good)
        start = aligned(logits, good)
        assert after >= float(theory.alignment_guarantee(strength, margin, start)) - 1e-9
        broken += after < float(theory.alignment_guarantee(strength, 2 * margin, start)) - 1e-9
    assert broken > 1500, "with a pairwise margin the half cannot be left out"


def test_guarantee_turns_into_an_upper_bound_on_the_other_side() -> None:
    generator = np.random.default_rng(1)
    for _ in range(1000):
        logits, change, good, margin = random_instance(generator)
        strength = -float(generator.uniform(0, 4))
        bound = float(theory.alignment_guarantee(strength, margin, aligned(logits, good)))
        assert aligned(logits + strength * change, good) <= bound + 1e-9


def test_guarantee_is_exact_where_all_gaps_are_equal() -> None:
    logits, good = np.array([0.3, -1.0, 0.7, 0.1]), np.array([True, True, False, False])
    for strength in (-2.0, 0.5, 3.0):
        after = aligned(logits + strength * np.array([0.4, 0.4, -0.2, -0.2]), good)
        assert after == pytest.approx(
            float(theory.alignment_guarantee(strength, 0.6, aligned(logits, good))), abs=1e-12
        )


def test_many_classes_hold_on_every_instance() -> None:
    generator = np.random.default_rng(2)
    for _ in range(3000):
        classes = int(generator.integers(2, 5))
        kind = np.concatenate([np.arange(classes), generator.integers(0, classes, 6)])
        scores = np.sort(generator.uniform(-1, 1, classes))[::-1]
        change = generator.normal(0, 1, kind.size)
        for k in range(1, classes):  # every class must lose on the one above it
            top = min(change[kind == k - 1])
            change[kind == k] -= max(change[kind == k].max() - top, 0) + generator.uniform(0, 1)
        gaps = np.array([change[kind == k].min() - change[kind == k + 1].max() for k in range(classes - 1)])
        logits, strength = generator.normal(0, 2, kind.size), float(generator.uniform(0, 4))
        start, after = softmax(logits), softmax(logits + strength * change)
        masses = np.array([start[kind == k].sum() for k in range(classes)])
        bound = theory.multiclass_guarantee(strength, scores, masses, np.maximum(gaps, 0))
        assert float(after @ scores[kind]) >= bound - 1e-9


def test_many_classes_refuse_what_the_proof_does_not_cover() -> None:
    with pytest.raises(ValueError, match="falling scores"):
        theory.multiclass_guarantee(1.0, np.array([-1.0, 1.0]), np.array([0.5, 0.5]), np.array([1.0]))
    with pytest.raises(ValueError, match="one gap fewer"):
        theory.multiclass_guarantee(1.0, np.array([1.0, -1.0]), np.array([0.5, 0.5]), np.array([1.0, 1.0]))


def test_slopes_are_those_of_finite_differences() -> None:
    generator = np.random.default_rng(3)
    logits, change = generator.normal(0, 1, 9), generator.normal(0, 1, 9)
    scores = np.repeat([1.0, -1.0, 0.0], 3)
    step = 1e-6
    up, down = (float(softmax(logits + s * change) @ scores) for s in (step, -step))
    exact = float(theory.covariance_slope(softmax(logits), scores, change))
    assert exact == pytest.approx((up - down) / (2 * step), rel=1e-6)
    good = scores[:6] > 0
    p = softmax(logits[:6])
    gap = p[good] @ change[:6][good] / p[good].sum() - p[~good] @ change[:6][~good] / p[~good].sum()
    slope = (aligned(logits[:6] + step * change[:6], good) - aligned(logits[:6] - step * change[:6], good)) / (2 * step)
    assert float(theory.alignment_slope(gap, aligned(logits[:6], good))) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize(
    ("probability", "wrong"),
    [(0.6, [0.4]), (0.3, [0.7]), (0.4, [0.2] * 3), (0.25, [0.25] * 3), (0.3, [0.7 / 50] * 50)],
)
def test_expected_helpfulness_against_monte_carlo(probability: float, wrong: list[float]) -> None:
    generator = np.random.default_rng(4)
    strength = 0.3
    noise = generator.standard_normal((400_000 if len(wrong) < 10 else 40_000, len(wrong)))
    sampled = 1 / (1 + (np.array(wrong) * np.exp(strength * noise)).sum(axis=1) / probability)
    error = 3 * sampled.std() / len(sampled) ** 0.5
    expected = float(theory.expected_helpfulness(strength, 1.0, probability, np.array(wrong)))
    assert sampled.mean() == pytest.approx(expected, abs=error + 6e-4), "second order: the rest is of order r^4"


def test_bell_is_no_bound_in_expectation_with_two_options() -> None:
    assert (
        float(theory.expected_helpfulness(0.3, 1.0, 0.3, np.array([0.7]))) > 0.3 > float(theory.bell(0.3, 7 / 3, 1.0))
    )


def test_bell_is_the_limit_of_many_small_wrong_tokens() -> None:
    a, b = theory.bell_parameters(0.3, 0.8)
    small = float(theory.expected_helpfulness(0.1, 0.8, 0.3, np.full(5000, 0.7 / 5000)))
    assert float(theory.bell(0.1, a, b)) == pytest.approx(small, abs=1e-4)


def test_local_law_is_the_taylor_series() -> None:
    generator = np.random.default_rng(5)
    logits, slope, curvature = generator.normal(0, 1, (3, 6))
    linear, quadratic = theory.local_law(softmax(logits), 2, slope, curvature)
    step = 1e-3
    values = [np.log(softmax(logits + r * slope + r**2 / 2 * curvature)[2]) for r in (-step, 0.0, step)]
    assert linear == pytest.approx((values[2] - values[0]) / (2 * step), abs=1e-5)
    assert quadratic == pytest.approx((values[2] - 2 * values[1] + values[0]) / (2 * step**2), abs=1e-4)


def test_loss_of_a_reply_grows_with_its_length() -> None:
    one = theory.reply_coefficient([0.6], 0.5)
    assert theory.reply_coefficient([0.6] * 16, 0.5) == pytest.approx(16 * one)
    assert theory.reply_coefficient([0.6, 1.0, 1.0], 0.5) == pytest.approx(one), "sure tokens cost nothing"
    strengths = theory.budget_strength(0.0, [-one, -16 * one], 0.05)
    assert strengths[0] / strengths[1] == pytest.approx(4.0)


@pytest.mark.parametrize("side", [1, -1])
def test_budget_strength_solves_its_equation(side: int) -> None:
    generator = np.random.default_rng(6)
    linear, quadratic = generator.normal(0, 0.1, 500), generator.normal(-0.01, 0.02, 500)
    found = theory.budget_strength(linear, quadratic, 0.05, side)
    grid = np.linspace(0, 200, 200_001)
    for slope, curve, root in zip(linear, quadratic, found, strict=True):
        spent = side * slope * grid + curve * grid**2 <= np.log1p(-0.05)
        if np.isfinite(root) and root < 199:
            assert grid[spent.argmax()] == pytest.approx(root, abs=2e-3)
        else:
            assert not spent[grid < 199].any()


def test_optimal_direction_beats_all_others_of_the_same_loss() -> None:
    generator = np.random.default_rng(7)
    root = generator.normal(size=(6, 6))
    hessian, gradient = root @ root.T + 0.1 * np.eye(6), generator.normal(size=6)
    best = theory.optimal_direction(gradient, hessian, 0.2)
    assert best @ hessian @ best / 2 == pytest.approx(0.2)
    for other in generator.normal(size=(500, 6)):
        scaled = other * np.sqrt(0.4 / (other @ hessian @ other))
        assert gradient @ scaled <= gradient @ best + 1e-12
    with pytest.raises(np.linalg.LinAlgError):
        theory.optimal_direction(gradient, -hessian, 0.2)


def test_published_bell_cannot_exceed_three_quarters_and_fits_start_at_one() -> None:
    assert float(theory.published_answer_bell(0.0, 0.0, 1.0)) == 0.75
    assert float(theory.answer_bell(0.0, 0.0, 1.0)) == 1.0
    assert float(theory.answer_bell(1e6, 0.5, 1.0)) == pytest.approx(0.25, abs=1e-6)
    assert theory.efficient_limit(0.3, 0.01, 2.0) == 15.0
    assert theory.efficient_limit(0.3, 0.0) == float("inf")
