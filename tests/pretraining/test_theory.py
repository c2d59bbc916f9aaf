"""The closed forms against recurrences, enumeration and a polynomial network."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from seqtant.errors import InputError
from seqtant.pretraining import theory
from seqtant.pretraining.instruments.epsilon_rank import RandomNetwork


def test_degree_obeys_its_recurrence() -> None:
    degree = 0
    for depth in range(1, 12):
        degree = 3 * degree + 4
        assert theory.weight_degree(depth) == degree
        assert theory.weight_degree(depth, embeddings=True) == degree + 3**depth


@pytest.mark.parametrize(("depth", "fixed", "all_weights"), [(1, 4, 7), (2, 16, 25), (3, 52, 79)])
def test_degree_is_that_of_a_polynomial_network(depth: int, fixed: int, all_weights: int) -> None:
    """Scaling the weights by 2 scales a homogeneous polynomial of degree D by 2^D exactly, in floating point too."""
    network = RandomNetwork(depth, 4, 2, softmax=False)
    weights = network.weights(7, 5, torch.Generator().manual_seed(depth))
    weights["head"] = torch.eye(4, dtype=torch.float64)
    text = torch.tensor([1, 4, 2, 0, 6])
    before = network(weights, text)
    layers = {name: 2 * w if name[0].isdigit() else w for name, w in weights.items()}
    everything = {name: w if name == "head" else 2 * w for name, w in weights.items()}
    assert torch.equal(network(layers, text), before * 2.0**fixed)
    assert torch.equal(network(everything, text), before * 2.0**all_weights)
    assert (theory.weight_degree(depth), theory.weight_degree(depth, embeddings=True)) == (fixed, all_weights)


@pytest.mark.parametrize("step", [0.5, 0.1, 1e-2, 1e-4])
@pytest.mark.parametrize("precision", [0.5, 1e-3, 1e-6, 1e-12])
def test_surviving_degree_is_the_least_whose_tail_is_within_the_precision(step: float, precision: float) -> None:
    tail = lambda kept: step ** (kept + 1) / (1 - step)
    kept = theory.surviving_degree(step, precision)
    assert tail(kept) <= precision * (1 + 1e-9)
    assert kept == 0 or tail(kept - 1) > precision * (1 - 1e-9)


def test_surviving_degree_stops_at_the_degree_of_the_network() -> None:
    assert theory.surviving_degree(0.9, 1e-12, most=4) == 4


@pytest.mark.parametrize(("span", "degree"), [(1, 1), (5, 3), (57, 1), (20, 6)])
def test_rank_bound_counts_monomials(span: int, degree: int) -> None:
    """C(r+K, K) is the number of monomials of degree at most K in r variables: C(r+k-1, k) of each degree k."""
    monomials = sum(math.comb(span + k - 1, k) for k in range(degree + 1))
    assert math.exp(theory.sequential_log_rank(span, degree)) == pytest.approx(monomials, rel=1e-9)


def test_depth_deficit_grows_as_the_step_shrinks() -> None:
    deficits = [theory.depth_deficit(8, theory.surviving_degree(step, 1e-6)) for step in (1e-1, 1e-2, 1e-4)]
    assert deficits == sorted(deficits)
    assert theory.depth_deficit(1, 10**6) == 0


def test_depth_of_a_network_of_its_own_degree_is_its_depth() -> None:
    for depth in (1, 2, 5):
        assert theory.sequential_depth(theory.weight_degree(depth)) == pytest.approx(depth)


def test_rank_bounds_hold_a_matrix_of_known_rank() -> None:
    generator = np.random.default_rng(0)
    exact = generator.standard_normal((40, 3)) @ generator.standard_normal((3, 30))
    assert theory.effective_rank_bounds(exact, 1e-9) == (3, 3)
    noisy = exact / np.abs(exact).max() + 1e-5 * generator.uniform(-1, 1, exact.shape)
    lower, upper = theory.effective_rank_bounds(noisy, 1e-3)
    assert lower <= 3 == upper


def test_rank_bounds_do_not_depend_on_the_scale() -> None:
    matrix = np.random.default_rng(1).standard_normal((12, 15))
    assert theory.effective_rank_bounds(matrix, 0.1) == theory.effective_rank_bounds(1e8 * matrix, 0.1)


@pytest.mark.parametrize("matrix", [np.zeros((3, 3)), np.array([[1.0, np.nan]]), np.array([[np.inf, 1.0]])])
def test_rank_of_nothing_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(InputError, match="no effective rank"):
        theory.effective_rank_bounds(matrix, 1e-3)


@pytest.mark.parametrize(("step", "precision"), [(1.0, 0.1), (0.0, 0.1), (0.1, 1.5)])
def test_bound_is_refused_outside_its_range(step: float, precision: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        theory.surviving_degree(step, precision)
