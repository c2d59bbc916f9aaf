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


def mean_probability(strength: float, noise: float, probability: float, wrong: int) -> float:
    """E[P(r)] of ``wrong`` equally likely wrong tokens whose logits move by independent Gaussians, in closed form.

    One token: Gauss-Hermite quadrature. Very many: by the law of large numbers their mass grows by exp(r^2 s^2 / 2).
    """
    ratio = (1 - probability) / probability
    if wrong > 1:
        return 1 / (1 + ratio * np.exp((strength * noise) ** 2 / 2))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return float(weights @ (1 / (1 + ratio * np.exp(strength * noise * nodes))) / weights.sum())


def test_bell_is_the_limit_of_many_small_wrong_tokens() -> None:
    """a = (1 - P_0) / P_0 and b = sigma: the bell is this limit to second order in r."""
    exact = mean_probability(0.1, 0.8, 0.3, wrong=10**6)
    assert float(theory.bell(0.1, 7 / 3, 0.8)) == pytest.approx(exact, abs=1e-5)


def test_bell_is_no_bound_in_expectation_with_two_options() -> None:
    """Noise on a single wrong token raises the expected score where P_0 < 1/2."""
    assert mean_probability(0.3, 1.0, 0.3, wrong=1) > 0.3 > float(theory.bell(0.3, 7 / 3, 1.0))


def test_bell_runs_from_certainty_down_to_its_floor() -> None:
    assert float(theory.bell(0.0, 0.0, 1.0, floor=0.25)) == 1.0
    assert float(theory.bell(1e6, 0.5, 1.0, floor=0.25)) == pytest.approx(0.25, abs=1e-6)


def test_efficient_limit_is_gain_over_exchanged_loss() -> None:
    assert theory.efficient_limit(0.3, 0.01, 2.0) == 15.0
    assert theory.efficient_limit(0.3, 0.0) == float("inf")
