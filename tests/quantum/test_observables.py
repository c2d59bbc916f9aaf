"""Observables against sums over all configurations; Metropolis against its own transition matrix."""

import numpy as np
import pytest
import torch

from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.stacks import light_two_stack
from seqtant.quantum import observation
from seqtant.quantum.exact import configurations, diagonalize
from seqtant.quantum.instruments.compare_sampling import autocorrelation_time, chains, second_eigenvalue
from seqtant.quantum.operators.hamiltonians import Couplings, build
from seqtant.quantum.operators.lattices import Lattice, symmetry_group
from seqtant.quantum.operators.pauli import PauliSum, String
from seqtant.quantum.theory import relaxation_time
from tests.quantum.dense import dense_matrix

LATTICE = Lattice.parse("2x3")


@pytest.fixture(scope="module")
def state():
    network = CausalNetwork(light_two_stack(2, 5, 4), (2, 3), torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
    return CausalState(network, "complex")


def test_means_cover_the_sums_over_all_configurations(state):
    vector = observation.amplitudes(state)
    probability, spins = np.abs(vector) ** 2, configurations(6).astype(float)
    drawn = state.sample(20_000, torch.Generator().manual_seed(5))
    found = observation.magnetizations(drawn, LATTICE)
    uniform, staggered = spins.mean(1), (spins * np.array(LATTICE.staggering)).mean(1)
    expected = {
        "magnetization": uniform,
        "absolute_magnetization": np.abs(uniform),
        "squared_magnetization": uniform**2,
        "absolute_staggered_magnetization": np.abs(staggered),
        "squared_staggered_magnetization": staggered**2,
    }
    for name, values in expected.items():
        half = (found[name].high - found[name].low) / 2
        assert abs(found[name].value - probability @ values) < 2.5 * half, name
    mean, error = observation.correlations(drawn)
    exact = (spins * probability[:, None]).T @ spins
    assert np.abs(mean - exact).max() < 5 * max(error.max(), 1e-3)


def test_transverse_magnetization_is_the_expectation_of_x(state):
    operator = PauliSum(6, tuple(String(1 / 6, "X", (site,)) for site in range(6)))
    vector = observation.amplitudes(state)
    exact = float(np.vdot(vector, dense_matrix(operator) @ vector).real)
    drawn = state.sample(8000, torch.Generator().manual_seed(6))
    found = observation.transverse_magnetization(state, drawn)
    assert abs(found.value - exact) < 1.5 * (found.high - found.low)


def test_swap_estimates_the_entropy_of_the_reduced_density_matrix(state):
    region = [0, 3]
    vector = observation.amplitudes(state)
    rest = [site for site in range(6) if site not in region]
    bits = (configurations(6) < 0).astype(int)
    rows, columns = (bits[:, part] @ (1 << np.arange(len(part))) for part in (region, rest))
    matrix = np.zeros((2 ** len(region), 2 ** len(rest)), dtype=complex)
    matrix[rows, columns] = vector
    density = matrix @ matrix.conj().T
    expected = -np.log(np.trace(density @ density).real)
    assert observation.exact_renyi_entropy(vector, 6, region) == pytest.approx(expected, abs=1e-10)
    found = observation.renyi_entropy(state, state.sample(20_000, torch.Generator().manual_seed(7)), region)
    assert abs(found.value - expected) < 1.5 * (found.high - found.low)


def test_fidelity_of_the_ground_state_with_itself_and_with_an_excited_state():
    pauli = build("tfim", LATTICE, Couplings(field=1.0))
    _, vectors = np.linalg.eigh(dense_matrix(pauli))
    exact = diagonalize(pauli).amplitudes
    assert observation.fidelity(vectors[:, 0].astype(complex), exact) == pytest.approx(1, abs=1e-9)
    assert observation.fidelity(vectors[:, 1].astype(complex), exact) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("lattice", "boundary", "name", "size"),
    [
        ("4x4", "open", "tfim", 16),
        ("2x3", "open", "tfim", 8),
        ("8", "periodic", "tfim", 32),
        ("5", "open", "heisenberg", 4),
    ],
)
def test_symmetry_groups_commute_with_the_hamiltonian(lattice, boundary, name, size):
    where = Lattice.parse(lattice, boundary)
    pauli = build(name, where, Couplings(field=0.7))
    group = symmetry_group(where, pauli)
    assert len(group) == size
    if where.sites > 8:
        return
    matrix, index = dense_matrix(pauli), np.arange(2**where.sites)
    spins = configurations(where.sites)
    for permutation, sign in zip(group.permutations, group.signs, strict=True):
        image = ((sign * spins[:, permutation]) < 0).astype(int) @ (1 << np.arange(where.sites))
        assert sorted(image) == list(index)
        assert np.allclose(matrix[np.ix_(image, image)], matrix)


def test_metropolis_visits_configurations_by_their_probability():
    exact = diagonalize(build("tfim", LATTICE, Couplings(field=3.0)))
    probability = np.abs(exact.amplitudes) ** 2
    walked = chains(probability, 6, 3000, np.zeros(30, dtype=np.int64), np.random.default_rng(1))
    seen = np.bincount(walked[100:].ravel(), minlength=64) / walked[100:].size
    assert np.abs(seen - probability).max() < 0.01


def test_second_eigenvalue_equals_that_of_the_dense_matrix_and_the_published_one():
    def dense(probability, sites):
        size = 2**sites
        matrix = np.zeros((size, size))
        for s in range(size):
            for site in range(sites):
                matrix[s, s ^ (1 << site)] = min(1, probability[s ^ (1 << site)] / probability[s]) / sites
            matrix[s, s] = 1 - matrix[s].sum()
        return np.sort(np.linalg.eigvals(matrix).real)[-2]

    small = np.abs(diagonalize(build("tfim", LATTICE, Couplings(field=1.5))).amplitudes) ** 2
    assert second_eigenvalue(small, 6) == pytest.approx(dense(small, 6), abs=1e-9)
    exact = diagonalize(build("tfim", Lattice.parse("4x4"), Couplings(field=3.0)))
    eigenvalue = second_eigenvalue(np.abs(exact.amplitudes) ** 2, 16)
    assert eigenvalue == pytest.approx(0.96255252, abs=1e-7)
    assert relaxation_time(eigenvalue) == pytest.approx(26.2, abs=0.05)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_autocorrelation_time_of_a_known_process(memory):
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(40_000, 4))
    series = np.empty_like(noise)
    series[0] = noise[0]
    for n in range(1, len(noise)):
        series[n] = memory * series[n - 1] + np.sqrt(1 - memory**2) * noise[n]
    assert autocorrelation_time(series) == pytest.approx(0.5 * (1 + memory) / (1 - memory), rel=0.1)


def test_a_chain_that_never_moves_is_worth_one_sample():
    assert autocorrelation_time(np.ones((100, 2))) == 50
