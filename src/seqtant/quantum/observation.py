"""Measures energy and observables of a wave function: local energies, exact sums or samples, entanglement, fidelity.

The energy is summed over all configurations where that is possible, and sampled where not. Observables are means over
independent samples; those that the symmetry group changes are measured on samples to which a random group element was
applied, as the symmetrized state demands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqtant.errors import TrainingError
from seqtant.findings import Estimate
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.symmetrized_state import SymmetrizedState
from seqtant.progress import SILENT, Progress
from seqtant.quantum.exact import configurations, indices, row_elements
from seqtant.quantum.operators.lattices import Lattice
from seqtant.quantum.operators.pauli import PauliSum

State = AutoregressiveState | SymmetrizedState
LARGEST_LOG_RATIO = 300.0
"""Log-ratios are capped here, far beyond any that a sampled configuration has, so that no infinity arises."""
ENUMERATED = 16
"""Spins up to which all configurations are summed."""
EVALUATED_AT_ONCE = 512
"""Configurations whose local energies are found together."""


class Hamiltonian:
    """Applies a Hamiltonian to batches of configurations.

    The local energy of s is E(s) = sum over s' of <s|H|s'> psi(s') / psi(s), where s' runs over s itself and the
    configurations that a move (a set of flipped sites) of H leads to.

    Args:
        pauli: The operator.

    Example:
        >>> from seqtant.quantum.operators.hamiltonians import build, Couplings
        >>> ising = Hamiltonian(build("tfim", Lattice.parse("4"), Couplings(field=0.5)))
        >>> configurations, elements = ising.connected(torch.ones(1, 4))
        >>> elements.tolist()
        [[-3.0, -0.5, -0.5, -0.5, -0.5]]
    """

    def __init__(self, pauli: PauliSum) -> None:
        self.pauli = pauli
        self.moves = pauli.moves
        # Index tables of the diagonal and of the other strings: the spins that each multiplies (filled up with one past
        # the last site, where a spin +1 stands), its weight, the number of its move.
        # The diagonal has a table of its own with one column, so its number 0 does not collide with the first move.
        number = {move: n for n, move in enumerate(self.moves)} | {(): 0}
        self._tables: list[tuple[Tensor, Tensor, Tensor]] = []
        for strings in (pauli.by_move.get((), []), [s for s in pauli.strings if s.flips]):
            longest = max((len(s.signs) for s in strings), default=0)
            spins = [[*s.signs, *[pauli.sites] * (longest - len(s.signs))] for s in strings]
            weights = torch.tensor([complex(s.weight) for s in strings], dtype=torch.complex128)
            where = torch.tensor(spins, dtype=torch.int64).reshape(len(strings), longest)
            moves = torch.tensor([number[s.flips] for s in strings], dtype=torch.int64)
            self._tables.append((where, weights if weights.imag.any() else weights.real, moves))

    def elements(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Computes <s|H|s>, shape (batch,), and <s|H|s'> for every move, shape (batch, moves); zero if not allowed."""
        one = torch.ones(len(spins), 1, dtype=torch.float64, device=spins.device)
        padded = torch.cat([spins.to(torch.float64), one], dim=1)  # [batch, sites + 1]
        sums: list[Tensor] = []
        for (where, weights, move), count in zip(self._tables, (1, len(self.moves)), strict=True):
            # Filled-up places read the extra column of ones, so they do not change the product.
            terms = padded[:, where.to(spins.device)].prod(2) * weights.to(spins.device)  # [batch, strings]
            sums.append(terms.new_zeros(len(spins), count).index_add(1, move.to(spins.device), terms))
        return sums[0][:, 0].real, sums[1]

    def connected(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Lists the configurations (batch, 1 + moves, sites) that H connects to, themselves first, and the elements."""
        signs = torch.ones(1 + len(self.moves), spins.shape[1], dtype=spins.dtype, device=spins.device)
        for n, move in enumerate(self.moves):
            signs[n + 1, list(move)] = -1
        diagonal, off = self.elements(spins)
        return spins[:, None] * signs, torch.cat([diagonal[:, None].to(off.dtype), off], dim=1)

    def local_energy(self, state: State, spins: Tensor) -> Tensor:
        """Computes local energies (batch,) by change propagation; memory is bounded by the state's chunks."""
        diagonal, elements = self.elements(spins)
        if not self.moves:
            return diagonal
        amplitude, phase = state.log_ratios(spins, self.moves)
        return combine(diagonal, elements, amplitude, phase, state.kind)


def local_energies(state: State, hamiltonian: PauliSum, spins: Tensor) -> Tensor:
    """Computes the local energies E(s) = sum over s' of <s|H|s'> psi(s') / psi(s), whose mean is the energy.

    Args:
        state: The wave function.
        hamiltonian: The Hamiltonian.
        spins: Samples of the state, +1 and -1, shape (samples, sites).

    Returns:
        Shape (samples,), complex if the state or the Hamiltonian is.

    Example:
        >>> from seqtant.quantum import RecurrentState, transverse_ising
        >>> state, hamiltonian = RecurrentState("2x2", width=4), transverse_ising("2x2")
        >>> spins = state.sample(100, torch.Generator().manual_seed(0))
        >>> local_energies(state, hamiltonian, spins).shape
        torch.Size([100])
    """
    return Hamiltonian(hamiltonian).local_energy(state, spins)


def combine(diagonal: Tensor, elements: Tensor, amplitude: Tensor, phase: Tensor, kind: str) -> Tensor:
    """Adds the diagonal and the sum over moves of element times wave-function ratio.

    Forbidden moves may lead where the wave function vanishes or is not defined: they count zero.
    """
    # The clamp lets not-a-number pass: ``where`` drops it at forbidden moves, elsewhere it must show in the energy.
    size = amplitude.clamp(max=LARGEST_LOG_RATIO).exp()
    if kind == "real":
        size = size * torch.cos(phase)
    elif kind == "complex":
        size = torch.polar(size, phase)
    # The ratio may be infinite or not a number where the element is zero.
    size = torch.where(elements == 0, torch.zeros_like(size), size)
    return diagonal + (elements * size).sum(1)


def standard_error(values: Tensor, counts: Tensor | None = None) -> float:
    """Computes the standard error of the mean of independent values, weighted by multiplicity."""
    weights = torch.ones_like(values.real) if counts is None else counts.to(values.real.dtype)
    number = float(weights.sum())
    mean = (weights * values.real).sum() / number
    variance = (weights * (values.real - mean) ** 2).sum() / max(1.0, number - 1)
    return math.sqrt(float(variance) / number)


@dataclass(frozen=True)
class Energy:
    """Energy and variance of a state."""

    total: float
    """Energy, not per site."""
    error: float
    """Standard error of the energy; 0 where everything was summed."""
    variance: float
    """Variance of the local energies."""
    samples: int
    """Configurations drawn or summed."""
    summed: bool
    """Whether all configurations were summed."""

    def per_site(self, sites: int) -> Estimate:
        """Energy per site with its 95 % interval."""
        value = self.total / sites
        if self.summed:
            return Estimate.exact(value, method="sum over all configurations")
        half = 1.96 * self.error / sites
        return Estimate(value=value, low=value - half, high=value + half, method="independent samples", n=self.samples)


def evaluate(
    state: State,
    hamiltonian: PauliSum | Hamiltonian,
    samples: int = 4096,
    generator: torch.Generator | None = None,
    *,
    enumerate_up_to: int = ENUMERATED,
    progress: Progress = SILENT,
) -> Energy:
    """Computes the energy and variance of a state: summed on small lattices, sampled on large ones.

    Args:
        state: Plain or symmetrized wave function.
        hamiltonian: The Hamiltonian.
        samples: Configurations to draw where not all are summed.
        generator: Random number generator; by default that of torch.
        enumerate_up_to: Spins up to which all configurations are summed.
        progress: Progress display.

    Raises:
        TrainingError: The energy is not finite.
    """
    hamiltonian = Hamiltonian(hamiltonian) if isinstance(hamiltonian, PauliSum) else hamiltonian
    if state.sites <= enumerate_up_to:
        return energy_of_vector(amplitudes(state), hamiltonian.pauli)
    # The energy is invariant under the group, so plain samples serve the symmetrized state without a random image.
    plain = state.plain if isinstance(state, SymmetrizedState) else state
    spins, counts = torch.unique(plain.sample(samples, generator), dim=0, return_counts=True)
    bar = progress.task("evaluation", len(spins))
    parts: list[Tensor] = []
    for part in spins.split(EVALUATED_AT_ONCE):
        parts.append(hamiltonian.local_energy(state, part))
        bar.advance(len(part))
    bar.close()
    energies = torch.cat(parts)
    weights = counts.to(energies.real.dtype) / samples
    total = float((weights * energies.real).sum())
    variance = float((weights * (energies - total).abs() ** 2).sum()) * samples / (samples - 1)
    if not math.isfinite(total) or not math.isfinite(variance):
        raise TrainingError(f"the energy is {total}: the state is broken, train it again")
    return Energy(total, standard_error(energies, counts), variance, samples, False)


@torch.no_grad()
def amplitudes(state: State, chunk: int = 4096) -> NDArray[np.complex128]:
    """Computes all 2^sites amplitudes of a state, in the order of exact diagonalization."""
    plain = state.plain if isinstance(state, SymmetrizedState) else state
    device = next(plain.parameters()).device
    everything = torch.from_numpy(configurations(plain.sites))
    parts = [plain.log_psi(part.to(device)) for part in everything.split(chunk)]
    amplitude, phase = (torch.cat(column).cpu() for column in zip(*parts, strict=True))
    if isinstance(state, SymmetrizedState):
        # Images of all configurations are a reordering of all configurations: no further evaluation is needed.
        index = torch.stack([indices(image) for image in state.images(everything)])  # [elements, configurations]
        probability = (2 * amplitude).exp()[index].mean(0)
        if state.phases == "first":
            phase = phase[index.min(0).values]
        else:
            phase = torch.polar(torch.ones_like(phase), phase)[index].sum(0).angle()
        return torch.polar(probability.sqrt(), phase).numpy()
    return torch.polar(amplitude.exp(), phase).numpy()


def energy_of_vector(vector: NDArray[np.complex128], pauli: PauliSum) -> Energy:
    """Computes energy and variance of a vector of all amplitudes, exactly.

    Raises:
        TrainingError: The vector is not normalized or not finite.
    """
    norm = float(np.vdot(vector, vector).real)
    if not abs(norm - 1) < 1e-4:
        raise TrainingError(f"the state's probabilities add up to {norm}: it is broken, train it again")
    # H times the vector, move by move: a move flips the same bits of every configuration.
    states = np.arange(len(vector), dtype=np.int64)
    image = np.zeros_like(vector)
    for flips in ((), *pauli.moves):
        mask = sum(1 << site for site in flips)
        image += row_elements(pauli, flips, states) * vector[states ^ mask]
    total = float(np.vdot(vector, image).real) / norm
    # <H^2> - E^2 = |(H - E) psi|^2: the difference of two large numbers would lose digits near an eigenstate.
    residual = image - total * vector
    return Energy(total, 0.0, float(np.vdot(residual, residual).real) / norm, len(vector), True)


def mean_of(values: Tensor, unit: str = "") -> Estimate:
    """Estimates the mean of independent values with its 95 % interval.

    Example:
        >>> round(mean_of(torch.tensor([1.0, 3.0])).value, 6)
        2.0
    """
    number = values.numel()
    value = float(values.double().mean())
    half = 1.96 * float(values.double().std()) / math.sqrt(number) if number > 1 else math.inf
    return Estimate(value=value, low=value - half, high=value + half, method="independent samples", n=number, unit=unit)


def magnetizations(spins: Tensor, lattice: Lattice) -> dict[str, Estimate]:
    """Estimates magnetizations per site from samples (samples, sites): mean, modulus, square, the staggered ones."""
    values = spins.double()
    sign = torch.tensor(lattice.staggering, dtype=torch.float64, device=spins.device)
    uniform, staggered = values.mean(1), (values * sign).mean(1)
    found = {"magnetization": mean_of(uniform)}
    for name, each in (("magnetization", uniform), ("staggered_magnetization", staggered)):
        found |= {f"absolute_{name}": mean_of(each.abs()), f"squared_{name}": mean_of(each**2)}
    return found


def correlations(spins: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Estimates <Z_i Z_j> from samples (samples, sites), and its standard error, both (sites, sites)."""
    values = spins.double()
    mean = values.T @ values / len(values)
    # A product of spins is +1 or -1: its variance is 1 - mean^2.
    error = ((1 - mean**2).clamp(min=0) / max(1, len(values) - 1)).sqrt()
    return mean.cpu().numpy(), error.cpu().numpy()


def transverse_magnetization(state: State, spins: Tensor, chunk: int = 512) -> Estimate:
    """Estimates the mean of X per site: the average over sites of psi(s with that site flipped) / psi(s).

    The state must not be confined to one magnetization.
    """
    moves = tuple((site,) for site in range(state.sites))
    found: list[Tensor] = []
    for part in spins.split(chunk):
        amplitude, phase = state.log_ratios(part, moves)
        found.append((amplitude.exp() * torch.cos(phase)).mean(1))
    return mean_of(torch.cat(found))


@torch.no_grad()
def renyi_entropy(state: State, spins: Tensor, region: list[int]) -> Estimate:
    """Estimates the second Renyi entropy of a region, in nats, by exchanging it between two independent samples.

    exp(-S2) is the mean of psi(a') psi(b') / (psi(a) psi(b)) over pairs (a, b), a' and b' having the region's spins
    exchanged; the number of samples must be even. Source: Hastings et al., Physical Review Letters 104, 157201 (2010).
    """
    half = len(spins) // 2
    one, other = spins[:half], spins[half : 2 * half]
    mixed_one, mixed_other = one.clone(), other.clone()
    # Both parts start as copies: with views the first assignment would overwrite what the second reads.
    mixed_one[:, region], mixed_other[:, region] = other[:, region], one[:, region]
    parts = [state.log_psi(s) for s in (mixed_one, mixed_other, one, other)]
    amplitude = parts[0][0] + parts[1][0] - parts[2][0] - parts[3][0]
    phase = parts[0][1] + parts[1][1] - parts[2][1] - parts[3][1]
    # The purity Tr rho^2 = exp(-S2) is the mean; an interval that reaches zero has no logarithm.
    purity = mean_of(amplitude.exp() * torch.cos(phase))
    if purity.value <= 0 or purity.low is None or purity.high is None:
        return Estimate(value=0.0, method="too few samples for this entropy", n=half, unit="nats")
    low = high = None
    if purity.low > 0:
        low, high = -math.log(min(1.0, purity.high)), -math.log(max(1e-300, purity.low))
    method = "swap of independent samples"
    return Estimate(value=-math.log(purity.value), low=low, high=high, method=method, n=half, unit="nats")


def exact_renyi_entropy(vector: NDArray[np.complex128], sites: int, region: list[int]) -> float:
    """Computes the second Renyi entropy -ln Tr rho^2 of a region from all amplitudes.

    Example:
        >>> pair = np.array([0, 1, 1, 0]) / 2**0.5
        >>> round(exact_renyi_entropy(pair, 2, [0]), 6)
        0.693147
    """
    # Site 0 is the lowest bit of the index, hence the last axis; the singular values s of the region against the rest
    # are those of the reduced density matrix, Tr rho^2 = sum s^4.
    axes = vector.reshape((2,) * sites)
    places = [sites - 1 - site for site in region]
    rest = [axis for axis in range(sites) if axis not in places]
    matrix = np.transpose(axes, places + rest).reshape(2 ** len(region), -1)
    return -math.log(float((np.linalg.svd(matrix, compute_uv=False) ** 4).sum()))


def fidelity(vector: NDArray[np.complex128], exact: NDArray[np.complex128]) -> float:
    """Computes the fidelity |<exact|state>|^2 of two normalized vectors.

    Example:
        >>> fidelity(np.array([1, 0j]), np.array([0.6, 0.8j]))
        0.36
    """
    return float(abs(np.vdot(exact, vector)) ** 2)
