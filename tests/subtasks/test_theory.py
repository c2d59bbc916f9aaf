"""Closed forms against enumeration and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from seqtant.subtasks import theory


def all_bits(count):
    return np.array(list(itertools.product([0, 1], repeat=count)))[:, ::-1]


def characters(bits):
    """Parity of every subset at every input, written out."""
    inputs = all_bits(bits)
    return (-1) ** (inputs @ inputs.T)


@pytest.mark.parametrize("bits", [4, 6, 8, 10])
def test_variance_stays_below_the_bound_and_the_bound_shrinks(bits):
    """A random two-layer ReLU network of width 8, its gradient by every weight at every input."""
    generator = np.random.default_rng(bits)
    inputs = 1.0 - 2 * all_bits(bits)
    first, second = generator.normal(size=(8, bits)) / math.sqrt(bits), generator.normal(size=8)
    hidden = np.maximum(first @ inputs.T, 0)
    by_first = ((hidden > 0) * second[:, None])[:, None] * inputs.T[None]
    slopes = np.concatenate([hidden, by_first.reshape(8 * bits, -1)])
    square = (slopes**2).sum(axis=0).mean()
    parities = characters(bits)
    for size in (2, bits // 2):
        of_size = parities[all_bits(bits).sum(axis=1) == size]
        # grad F_S = 2 E[f grad f] - 2 E[f_S grad f]: only the second term depends on S.
        variance = (2 * of_size @ slopes.T / 2**bits).var(axis=0).sum()
        assert 0 < variance <= theory.gradient_variance_bound(square, math.comb(bits, size))


def test_bound_on_the_variance_is_reached_over_all_parities():
    """Parseval: over all 2^d parities a gradient that vanishes where all of them are 1 varies by the bound itself."""
    bits = 6
    inputs = 1 - 2 * all_bits(bits)
    slopes = np.random.default_rng(0).normal(size=2**bits)
    slopes[(inputs == 1).all(axis=1)] = 0.0
    parities = np.array(
        [
            inputs[:, list(chosen)].prod(axis=1)
            for size in range(bits + 1)
            for chosen in itertools.combinations(range(bits), size)
        ]
    )
    gradients = -2 * (parities * slopes).mean(axis=1)
    assert gradients.var() == pytest.approx(theory.gradient_variance_bound((slopes**2).mean(), 2**bits))


def test_piling_up_is_the_chance_of_an_even_number_of_errors():
    accuracies = [0.9, 0.8, 0.95, 0.6]
    even = chain = 0.0
    for right in itertools.product([0, 1], repeat=4):
        chance = math.prod(p if ok else 1 - p for p, ok in zip(accuracies, right, strict=True))
        even += chance * (right.count(0) % 2 == 0)
        chain += chance * all(right)
    assert theory.parity_answer_accuracy(accuracies) == pytest.approx(even)
    assert theory.chain_accuracy(accuracies) == pytest.approx(chain)


@pytest.mark.parametrize(("bits", "samples"), [(1, 1), (2, 2), (2, 3), (3, 3)])
def test_full_rank_probability_is_the_share_of_all_matrices(bits, samples):
    rows = list(itertools.product([0, 1], repeat=bits))
    full = 0
    for matrix in itertools.product(rows, repeat=samples):
        sums = {tuple(np.array(matrix).T @ np.array(pick) % 2) for pick in itertools.product([0, 1], repeat=samples)}
        full += len(sums) == 2**bits
    assert theory.full_rank_probability(bits, samples) == pytest.approx(full / len(rows) ** samples)
    assert theory.full_rank_probability(bits, bits - 1) == 0


def test_link_multiplies_signs_and_has_its_slope():
    for one, two in itertools.product([-1.0, 1.0], repeat=2):
        assert theory.link((one + two) / 2) == one * two
    places = np.linspace(-0.99, 0.99, 34)
    slopes = (theory.link(places + 1e-6) - theory.link(places - 1e-6)) / 2e-6
    assert np.allclose(theory.link_slope(places), slopes, atol=1e-4)


@pytest.mark.parametrize("tokens", [3, 4, 9])
def test_exact_first_gradient_is_the_mean_over_all_inputs(tokens):
    signs = 1.0 - 2 * all_bits(tokens)
    gradient = theory.first_gradient(signs, signs[:, 0] * signs[:, 1])
    child, other = theory.expected_first_gradient(tokens)
    assert gradient[:2] == pytest.approx([child, child])
    assert gradient[2:] == pytest.approx([other] * (tokens - 2))


def test_first_gradient_is_that_of_the_loss():
    """Against finite differences of E (phi(softmax(w) x) - y)^2 / 2 at w = 0."""
    generator = np.random.default_rng(3)
    signs = generator.choice([-1.0, 1.0], size=(50, 5))
    target = signs[:, 0] * signs[:, 3]

    def loss(weights):
        shares = np.exp(weights) / np.exp(weights).sum()
        return float(((theory.link(signs @ shares) - target) ** 2).mean() / 2)

    slopes = [(loss(1e-6 * unit) - loss(-1e-6 * unit)) / 2e-6 for unit in np.eye(5)]
    assert theory.first_gradient(signs, target) == pytest.approx(slopes, abs=1e-7)


def test_on_many_tokens_a_child_pulls_with_minus_eight_over_their_square():
    child, other = theory.expected_first_gradient(4000)
    assert child * 4000**2 == pytest.approx(-8, rel=0.01)
    assert abs(other) < abs(child) / 1000
