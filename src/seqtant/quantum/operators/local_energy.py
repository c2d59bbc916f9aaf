"""Local energies: the sum over connected configurations of <s|H|s'> psi(s') / psi(s)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.symmetrized_state import SymmetrizedState
from seqtant.quantum.operators.pauli import PauliSum, String

LARGEST_LOG_RATIO = 300.0
"""Log-ratios are capped here, far beyond any that a sampled configuration has, so that no infinity arises."""


@dataclass(frozen=True)
class _Elements:
    """Pauli strings as index tables: which spins each multiplies, its weight, the move it belongs to."""

    spins: Tensor
    weights: Tensor
    move: Tensor

    @classmethod
    def of(cls, strings: list[tuple[int, String]], sites: int) -> _Elements:
        longest = max((len(s.signs) for _, s in strings), default=0)
        table = [[*s.signs, *[sites] * (longest - len(s.signs))] for _, s in strings]
        weights = torch.tensor([complex(s.weight) for _, s in strings], dtype=torch.complex128)
        move = torch.tensor([m for m, _ in strings], dtype=torch.int64)
        return cls(torch.tensor(table, dtype=torch.int64).reshape(len(strings), longest), weights, move)

    def __call__(self, spins: Tensor, moves: int) -> Tensor:
        """Elements (batch, moves), real where all weights are."""
        one = torch.ones(len(spins), 1, dtype=torch.float64, device=spins.device)
        padded = torch.cat([spins.to(torch.float64), one], dim=1)
        weights = self.weights if self.weights.imag.any() else self.weights.real
        terms = padded[:, self.spins.to(spins.device)].prod(2) * weights.to(spins.device)
        return terms.new_zeros(len(spins), moves).index_add(1, self.move.to(spins.device), terms)


class Hamiltonian:
    """A Hamiltonian ready to act on batches of configurations.

    Args:
        pauli: The operator.

    Example:
        >>> from seqtant.quantum.operators.hamiltonians import Couplings, build
        >>> from seqtant.quantum.operators.lattices import Lattice
        >>> ising = Hamiltonian(build("tfim", Lattice.parse("4"), Couplings(field=0.5)))
        >>> configurations, elements = ising.connected(torch.ones(1, 4))
        >>> elements.tolist()
        [[-3.0, -0.5, -0.5, -0.5, -0.5]]
    """

    def __init__(self, pauli: PauliSum) -> None:
        self.pauli = pauli
        self.moves = pauli.moves
        place = {move: n for n, move in enumerate(self.moves)}
        self._diagonal = _Elements.of([(0, s) for s in pauli.by_move.get((), [])], pauli.sites)
        off = [(place[s.flips], s) for s in pauli.strings if s.flips]
        self._off = _Elements.of(off, pauli.sites)

    def diagonal(self, spins: Tensor) -> Tensor:
        """<s|H|s>, shape (batch,)."""
        return self._diagonal(spins, 1)[:, 0].real

    def off_diagonal(self, spins: Tensor) -> Tensor:
        """<s|H|s'> for every move, shape (batch, moves); zero where the move is not allowed."""
        return self._off(spins, len(self.moves))

    def connected(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Configurations that H connects to given ones, themselves first, and the matrix elements.

        Args:
            spins: Shape (batch, sites).

        Returns:
            Configurations (batch, 1 + moves, sites) and elements (batch, 1 + moves).
        """
        sites = spins.shape[1]
        signs = torch.ones(1 + len(self.moves), sites, dtype=spins.dtype, device=spins.device)
        for n, move in enumerate(self.moves):
            signs[n + 1, list(move)] = -1
        off = self.off_diagonal(spins)
        return spins[:, None] * signs, torch.cat([self.diagonal(spins)[:, None].to(off.dtype), off], dim=1)

    def local_energy(self, state: AutoregressiveState | SymmetrizedState, spins: Tensor) -> Tensor:
        """Local energies by change propagation; memory is bounded by the state's chunks.

        Args:
            state: The wave function, with ``log_ratios``.
            spins: Shape (batch, sites), drawn from the state.

        Returns:
            Shape (batch,), complex if the state or the Hamiltonian is.
        """
        if not self.moves:
            return self.diagonal(spins)
        amplitude, phase = state.log_ratios(spins, self.moves)
        return combine(self.diagonal(spins), self.off_diagonal(spins), amplitude, phase, state.kind)


def combine(diagonal: Tensor, elements: Tensor, amplitude: Tensor, phase: Tensor, kind: str) -> Tensor:
    """Diagonal plus the sum over moves of element times wave-function ratio.

    Forbidden moves may lead where the wave function vanishes or is not defined: they count zero.
    """
    size = amplitude.clamp(max=LARGEST_LOG_RATIO).exp()
    if kind == "real":
        size = size * torch.cos(phase)
    elif kind == "complex":
        size = torch.polar(size, phase)
    size = torch.where(elements == 0, torch.zeros_like(size), size)
    return diagonal + (elements * size).sum(1)


def standard_error(values: Tensor, counts: Tensor | None = None) -> float:
    """Standard error of the mean of independent values, weighted by multiplicity."""
    weights = torch.ones_like(values.real) if counts is None else counts.to(values.real.dtype)
    number = float(weights.sum())
    mean = (weights * values.real).sum() / number
    variance = (weights * (values.real - mean) ** 2).sum() / max(1.0, number - 1)
    return math.sqrt(float(variance) / number)
