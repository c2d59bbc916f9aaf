"""Local energies against the dense matrix; natural-gradient steps against the parameter-space formula."""

import numpy as np
import pytest
import torch

from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.jacobian import jacobian
from seqtant.models.wavefunctions.stacks import light_two_stack, paper_two_stack
from seqtant.quantum.exact import configurations, diagonalize
from seqtant.quantum.observation import Hamiltonian, combine, standard_error
from seqtant.quantum.operators.hamiltonians import Couplings, build
from seqtant.quantum.operators.lattices import Lattice
from seqtant.quantum.operators.pauli import PauliSum, String
from seqtant.quantum.training.natural_gradient import NaturalGradient, solve
from tests.quantum.dense import dense_matrix


def network(outputs, shape=(3, 3), graph=light_two_stack):
    return CausalNetwork(graph(3, 4, outputs), shape, torch.Generator().manual_seed(2)).double()


CASES = {
    "ising": (build("tfim", Lattice.parse("3x3"), Couplings(field=2.0)), None),
    "periodic": (build("heisenberg", Lattice.parse("3x3", "periodic"), Couplings()), 1),
    "j1j2": (build("j1j2", Lattice.parse("3x3"), Couplings(second_coupling=0.5)), -1),
    "triangular": (build("xxz", Lattice.parse("triangular:3x3"), Couplings(anisotropy=0.3)), None),
    "odd Y": (
        PauliSum(9, (String(0.7, "YZX", (0, 4, 8)), String(0.4, "YX", (1, 2)), String(-1.0, "ZZ", (3, 5)))),
        None,
    ),
}


@pytest.mark.parametrize("kind", ["positive", "real", "complex"])
@pytest.mark.parametrize("case", CASES)
def test_local_energies_equal_those_of_the_dense_matrix(case, kind):
    pauli, magnetization = CASES[case]
    state = CausalState(network(4 if kind == "complex" else 2), kind, magnetization)
    spins = torch.from_numpy(configurations(9))
    if magnetization is not None:
        spins = spins[spins.sum(1) == magnetization]
    amplitude, phase = state.log_psi(torch.from_numpy(configurations(9)))
    psi = torch.polar(amplitude.exp(), phase).detach().numpy()
    inside = np.abs(psi) > 0
    expected = (dense_matrix(pauli) @ psi)[inside] / psi[inside]
    found = Hamiltonian(pauli).local_energy(state, spins).detach().numpy()
    assert np.abs(found - expected).max() < 1e-10


def test_connected_configurations_and_elements():
    pauli = CASES["j1j2"][0]
    spins = torch.from_numpy(configurations(9))[[5, 77]]
    others, elements = Hamiltonian(pauli).connected(spins)
    index = ((others < 0).long() << torch.arange(9)).sum(2)
    dense = dense_matrix(pauli)
    for n, row in enumerate((5, 77)):
        assert np.allclose(dense[row, index[n].numpy()], elements[n].numpy())


class Exact(torch.nn.Module):
    """The exact ground state, with the interface that local energies ask for."""

    kind = "positive"

    def __init__(self, pauli):
        super().__init__()
        found = diagonalize(pauli)
        self.energy = found.energy
        self.log = torch.from_numpy(np.abs(found.amplitudes)).log()

    def log_ratios(self, spins, moves):
        index = ((spins < 0).long() << torch.arange(spins.shape[1])).sum(1)
        flips = torch.tensor([sum(1 << site for site in move) for move in moves])
        return self.log[index[:, None] ^ flips] - self.log[index][:, None], torch.zeros(len(spins), len(moves))


@pytest.mark.parametrize("field", [0.7, 3.0])
def test_the_energy_of_an_eigenstate_has_no_variance(field):
    pauli = build("tfim", Lattice.parse("3x3"), Couplings(field=field))
    state = Exact(pauli)
    energies = Hamiltonian(pauli).local_energy(state, torch.from_numpy(configurations(9)))
    assert torch.allclose(energies, torch.tensor(state.energy, dtype=torch.float64), atol=1e-6)


def test_forbidden_moves_count_nothing():
    amplitude = torch.tensor([[float("inf"), float("nan"), 0.0]], dtype=torch.float64)
    elements = torch.tensor([[0.0, 0.0, 2.0]], dtype=torch.float64)
    diagonal = torch.ones(1, dtype=torch.float64)
    assert combine(diagonal, elements, amplitude, torch.zeros_like(amplitude), "positive").item() == 3.0


def test_standard_error_with_multiplicities():
    values = torch.tensor([1.0, 2.0, 2.0, 5.0], dtype=torch.float64)
    distinct, counts = torch.unique(values, return_counts=True)
    assert standard_error(distinct, counts) == pytest.approx(standard_error(values))
    assert standard_error(values) == pytest.approx(values.std().item() / 2)


@pytest.mark.parametrize("kind", ["positive", "complex"])
@pytest.mark.parametrize("graph", [light_two_stack, paper_two_stack])
def test_steps_equal_the_formula_in_parameter_space(kind, graph):
    pauli = build("heisenberg", Lattice.parse("2x3"), Couplings(marshall=False))
    state = CausalState(network(4 if kind == "complex" else 2, (2, 3), graph), kind)
    spins, counts = torch.unique(state.sample(40, torch.Generator().manual_seed(1)), dim=0, return_counts=True)
    weights = counts.double() / 40
    energies = Hamiltonian(pauli).local_energy(state, spins)
    method = NaturalGradient(state, damping=1e-2, momentum=0.7)
    first = method.step(lambda: jacobian(state, spins), weights, energies)
    second = method.step(lambda: jacobian(state, spins), weights, energies)

    amplitude, phase = (
        torch.autograd.functional.jacobian(
            lambda *p, n=n: torch.func.functional_call(
                state, dict(zip(dict(state.named_parameters()), p, strict=True)), (spins,)
            )[n],
            tuple(state.parameters()),
        )
        for n in (0, 1)
    )
    parts = [torch.cat([g.flatten(1) for g in part], dim=1) for part in (amplitude, phase)]
    rows = torch.cat(parts) if kind == "complex" else parts[0]
    double = torch.cat([weights] * (len(rows) // len(spins)))
    means = torch.cat([(weights[:, None] * part).sum(0).expand_as(part) for part in parts])[: len(rows)]
    x = double.sqrt()[:, None] * (rows - means)
    centered = energies - (weights * energies).sum()
    force = torch.cat([centered.real, centered.imag])[: len(rows)] if centered.is_complex() else centered
    gradient = 2 * x.T @ (double.sqrt() * force)
    metric = x.T @ x + 1e-2 * torch.eye(x.shape[1], dtype=torch.float64)
    assert torch.allclose(torch.linalg.solve(metric, gradient), first, atol=1e-8)
    carried = first * 0.7
    again = torch.linalg.solve(metric, gradient - x.T @ (x @ carried)) + carried
    assert torch.allclose(again, second, atol=1e-8)


def test_expected_gradient_is_that_of_the_energy():
    pauli = build("j1j2", Lattice.parse("2x3"), Couplings(second_coupling=0.4))
    state = CausalState(network(4, (2, 3)), "complex")
    spins = torch.from_numpy(configurations(6))
    amplitude, phase = state.log_psi(spins)
    psi = torch.polar(amplitude.exp(), phase)
    matrix = torch.from_numpy(dense_matrix(pauli))
    energy = (psi.conj() @ (matrix @ psi)).real
    exact = torch.cat([g.flatten() for g in torch.autograd.grad(energy, list(state.parameters()))])
    weights = (2 * amplitude).exp().detach()
    energies = Hamiltonian(pauli).local_energy(state, spins).detach()
    method = NaturalGradient(state, damping=1e9, momentum=0.0)
    step = method.step(lambda: jacobian(state, spins), weights, energies)
    assert torch.allclose(step * 1e9, exact, atol=1e-6)


def test_an_indefinite_kernel_is_solved_by_eigenvalues():
    kernel = torch.diag(torch.tensor([2.0, 0.0, -1e-3], dtype=torch.float64))
    found = solve(kernel, torch.tensor([2.1, 0.0, 0.0], dtype=torch.float64), 1e-4)
    assert torch.isfinite(found).all()
    assert found[0].item() == pytest.approx(2.1 / 2.0001)
