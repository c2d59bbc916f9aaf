"""The energy of a trained state: summed over all configurations where that is possible, sampled where not."""

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
from seqtant.quantum.exact.diagonalization import configurations, row_elements
from seqtant.quantum.operators.local_energy import Hamiltonian, standard_error
from seqtant.quantum.operators.pauli import PauliSum

ENUMERATED = 16
"""Spins up to which all configurations are summed."""
EVALUATED_AT_ONCE = 512
"""Configurations whose local energies are found together."""


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
    state: AutoregressiveState | SymmetrizedState,
    hamiltonian: Hamiltonian,
    samples: int,
    generator: torch.Generator,
    *,
    enumerate_up_to: int = ENUMERATED,
    progress: Progress = SILENT,
) -> Energy:
    """Energy and variance of a state.

    Args:
        state: Plain or symmetrized wave function.
        hamiltonian: The Hamiltonian.
        samples: Configurations to draw where not all are summed.
        generator: Source of chance.
        enumerate_up_to: Spins up to which all configurations are summed.
        progress: Where the work reports.

    Raises:
        TrainingError: The energy is not finite.
    """
    if state.sites <= enumerate_up_to:
        return summed(amplitudes(state), hamiltonian.pauli)
    # The energy is invariant under the group, so plain samples serve the symmetrized state without a random image.
    plain = state.plain if isinstance(state, SymmetrizedState) else state
    spins, counts = distinct(plain, samples, generator)
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


def distinct(state: AutoregressiveState, samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Distinct configurations out of some samples, with their counts."""
    drawn = state.sample(samples, generator)
    return torch.unique(drawn, dim=0, return_counts=True)


@torch.no_grad()
def amplitudes(state: AutoregressiveState | SymmetrizedState, chunk: int = 4096) -> NDArray[np.complex128]:
    """All 2^sites amplitudes of a state, in the order of exact diagonalization."""
    plain = state.plain if isinstance(state, SymmetrizedState) else state
    device = next(plain.parameters()).device
    everything = torch.from_numpy(configurations(plain.sites))
    parts = [plain.log_psi(part.to(device)) for part in everything.split(chunk)]
    amplitude = torch.cat([a for a, _ in parts]).cpu()
    phase = torch.cat([p for _, p in parts]).cpu()
    if isinstance(state, SymmetrizedState):
        # Images of all configurations are a reordering of all configurations: no further evaluation is needed.
        index = torch.stack([_index(image) for image in state.images(everything)])
        probability = (2 * amplitude).exp()[index].mean(0)
        if state.phases == "first":
            phase = phase[index.min(0).values]
        else:
            phase = torch.polar(torch.ones_like(phase), phase)[index].sum(0).angle()
        return torch.polar(probability.sqrt(), phase).numpy()
    return torch.polar(amplitude.exp(), phase).numpy()


def _index(spins: Tensor) -> Tensor:
    return ((spins < 0).long() << torch.arange(spins.shape[1])).sum(1)


def apply(pauli: PauliSum, vector: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """H times a vector over all configurations."""
    states = np.arange(len(vector), dtype=np.int64)
    total = np.zeros_like(vector)
    for flips in ((), *pauli.moves):
        mask = sum(1 << site for site in flips)
        total += row_elements(pauli, flips, states) * vector[states ^ mask]
    return total


def summed(vector: NDArray[np.complex128], pauli: PauliSum) -> Energy:
    """Energy and variance of a vector of amplitudes, exactly.

    Raises:
        TrainingError: The vector is not normalized or not finite.
    """
    norm = float(np.vdot(vector, vector).real)
    if not abs(norm - 1) < 1e-4:
        raise TrainingError(f"the state's probabilities add up to {norm}: it is broken, train it again")
    image = apply(pauli, vector)
    total = float(np.vdot(vector, image).real) / norm
    residual = image - total * vector
    return Energy(total, 0.0, float(np.vdot(residual, residual).real) / norm, len(vector), True)
