"""The kernel of natural-gradient steps, its solution and the length of a step, against dense algebra."""

import pytest
import torch

from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.jacobian import jacobian
from seqtant.models.wavefunctions.stacks import light_two_stack
from seqtant.quantum.config import NetworkConfig, OptimizerConfig, SystemConfig
from seqtant.quantum.observation import Hamiltonian
from seqtant.quantum.training.natural_gradient import (
    NaturalGradient,
    add_gram,
    center,
    center_kernel,
    center_transposed,
    factorize,
    solve,
)
from seqtant.quantum.training.systems import System, make_state
from seqtant.quantum.training.vmc import VMC


def drawn(*size):
    return torch.randn(*size, generator=torch.Generator().manual_seed(sum(size)), dtype=torch.float64)


def positive(size):
    rows = drawn(size, size + 5)
    return rows @ rows.T


@pytest.mark.parametrize("samples", [1, 7, 129, 300])
def test_products_of_rows_are_added_to_the_whole_kernel(samples):
    kernel, rows = positive(samples), drawn(samples, 11)
    expected = kernel + rows @ rows.T
    add_gram(kernel, rows)
    # Off the diagonal blocks the lower half is computed and copied up: both halves must be right.
    assert torch.allclose(kernel, expected, atol=1e-10)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_centered_kernel_is_that_of_centered_rows(parts):
    samples, rows = 13, drawn(parts * 13, 29) + 3.0
    weights = torch.rand(samples, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    weights /= weights.sum()
    blocks = rows.view(parts, samples, -1)
    means = (weights[:, None] * blocks).sum(1, keepdim=True)
    centered = ((blocks - means) * weights.sqrt()[:, None]).flatten(0, 1)
    kernel = rows @ rows.T
    center_kernel(kernel, weights)
    assert torch.allclose(kernel, centered @ centered.T, atol=1e-11)
    column, direction = drawn(parts * samples), drawn(29)
    assert torch.allclose(rows.T @ center_transposed(column.view(parts, -1), weights), centered.T @ column, atol=1e-11)
    assert torch.allclose(center((rows @ direction).view(parts, -1), weights), centered @ direction, atol=1e-11)


@pytest.mark.parametrize("size", [1, 5, 128, 300])
def test_the_factor_is_that_of_the_library(size):
    matrix = positive(size)
    expected = torch.linalg.cholesky(matrix)
    assert factorize(matrix)
    assert torch.allclose(matrix.tril(), expected, atol=1e-9)


@pytest.mark.parametrize("place", [0, 150, 299])
def test_an_indefinite_matrix_is_told_wherever_it_fails(place):
    matrix = positive(300)
    matrix[place, place] = -1.0
    assert not factorize(matrix)


def test_solutions_equal_dense_ones_and_leave_the_kernel_alone():
    kernel, force = positive(200), drawn(200)
    before = kernel.clone()
    expected = torch.linalg.solve(kernel + 1e-2 * torch.eye(200, dtype=torch.float64), force)
    assert torch.allclose(solve(kernel, force, 1e-2), expected, rtol=1e-8)
    assert torch.equal(kernel, before)


@pytest.mark.parametrize("kind", ["positive", "complex"])
def test_the_length_of_a_step_with_momentum_is_the_spread_of_the_change_of_log_psi(kind):
    graph = light_two_stack(3, 4, 4 if kind == "complex" else 2)
    state = CausalState(CausalNetwork(graph, (2, 3), torch.Generator().manual_seed(2)).double(), kind)
    spins, counts = torch.unique(state.sample(40, torch.Generator().manual_seed(1)), dim=0, return_counts=True)
    weights = counts.double() / 40
    method = NaturalGradient(state, damping=1e-2, momentum=0.7)
    # Two different forces: the second step must differ from the one that it carries over.
    for scale in (1.0, -0.5):
        energies = torch.complex(drawn(len(spins)), scale * drawn(len(spins)))
        step = method.step(lambda: jacobian(state, spins), weights, energies if kind == "complex" else energies.real)

    parameters = torch.nn.utils.parameters_to_vector(state.parameters()).detach()
    found = []
    for change in (1e-5, -1e-5):
        torch.nn.utils.vector_to_parameters(parameters + change * step, state.parameters())
        amplitude, phase = state.log_psi(spins)
        found.append(torch.complex(amplitude, phase).detach())
    slope = (found[0] - found[1]) / 2e-5
    spread = (weights * (slope - (weights * slope).sum()).abs() ** 2).sum().sqrt()
    assert method.length == pytest.approx(float(spread), rel=1e-7)


def test_steps_are_cut_to_the_trust_region():
    system = System.of(SystemConfig(lattice="2x3", field=1.3))
    state = make_state(system, NetworkConfig(depth=2, width=4), torch.Generator().manual_seed(2)).double()
    settings = OptimizerConfig(learning_rate=1e3, trust=1e-4)
    training = VMC(state, Hamiltonian(system.pauli), settings, steps=3, samples=64, seed=0)
    natural_step, steps = training.natural.step, []

    def remember(*arguments):
        steps.append(natural_step(*arguments))
        return steps[-1].clone()

    training.natural.step = remember
    before = torch.nn.utils.parameters_to_vector(state.parameters()).detach()
    training.step()
    change = torch.nn.utils.parameters_to_vector(state.parameters()).detach() - before
    assert torch.allclose(change, -settings.trust / training.natural.length * steps[0], rtol=1e-9, atol=1e-15)
