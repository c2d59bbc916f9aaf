"""Every configuration of a small lattice, gathered into the orbits of its symmetry group: steps that draw nothing.

A symmetrized state has one amplitude per orbit. On up to 16 spins all of them can be summed, so energy and gradient are
exact. The kernel of a natural-gradient step has one row per orbit, not one per configuration. An orbit has the phase of
its first configuration, those of the others play no part.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.jacobian import Block, jacobian
from seqtant.quantum.exact.diagonalization import Basis, configurations, sector_matrix
from seqtant.quantum.operators.pauli import PauliSum
from seqtant.quantum.operators.symmetries import Group

AT_ONCE = 1024
"""Configurations whose derivatives are found together."""


@dataclass(frozen=True)
class Amplitudes:
    """A symmetrized state on all orbits, and the share that each configuration has in it."""

    probability: Tensor
    """Of each orbit, adding up to 1, shape (orbits,)."""
    log_amplitude: Tensor
    """Logarithm of the modulus that each configuration of an orbit has."""
    energies: Tensor
    """Local energy of each orbit, shape (orbits,), complex if the state is."""
    share: Tensor
    """What each configuration's log-amplitude counts in that of its orbit, shape (configurations,)."""


@dataclass(frozen=True)
class Orbits:
    """The configurations of a sector and the orbit of each.

    Example:
        >>> from seqtant.quantum.operators.hamiltonians import Couplings, build
        >>> from seqtant.quantum.operators.lattices import Lattice
        >>> from seqtant.quantum.operators.symmetries import symmetry_group
        >>> square = Lattice.parse("2x2")
        >>> pauli = build("heisenberg", square, Couplings())
        >>> orbits = Orbits.of(pauli, symmetry_group(square, pauli, 0), 0)
        >>> len(orbits.spins), len(orbits)
        (6, 2)
    """

    spins: Tensor
    """Shape (configurations, sites), int8."""
    orbit: Tensor
    """Number of the orbit of each configuration."""
    first: Tensor
    """Place of one configuration of each orbit."""
    matrix: Tensor
    """<first of o|H|all of o'>, sparse, shape (orbits, orbits)."""

    @classmethod
    def of(cls, pauli: PauliSum, group: Group, magnetization: int | None) -> Orbits:
        """Finds the orbits of a sector; all configurations where there is none.

        Args:
            pauli: The Hamiltonian.
            group: Symmetries that it has.
            magnetization: Sum of all spins in the sector.
        """
        index = np.arange(2**pauli.sites, dtype=np.int64)
        if magnetization is not None:
            down = np.bitwise_count(index.astype(np.uint64))
            index = index[2 * down == pauli.sites - magnetization]
        spins = configurations(pauli.sites)[index]
        smallest = index.copy()
        for permutation, sign in zip(group.permutations, group.signs, strict=True):
            np.minimum(smallest, _index(spins[:, permutation] * sign), out=smallest)
        names, orbit = np.unique(smallest, return_inverse=True)
        first = np.searchsorted(index, names)
        matrix = sector_matrix(pauli, Basis(index, False, "sector"))
        places = torch.from_numpy(spins), torch.from_numpy(orbit), torch.from_numpy(first)
        return cls(*places, _gathered(matrix[first], orbit))

    def __len__(self) -> int:
        return len(self.first)

    @property
    def largest_row(self) -> float:
        """Largest sum of absolute elements in a row of the Hamiltonian."""
        return float(self.matrix.abs().sum(1).to_dense().max())

    def to(self, device: torch.device) -> Orbits:
        """The same on a device."""
        return Orbits(*(x.to(device) for x in (self.spins, self.orbit, self.first, self.matrix)))

    def add_up(self, values: Tensor) -> Tensor:
        """Sums over the configurations of each orbit, shape (orbits,)."""
        return values.new_zeros(len(self)).index_add(0, self.orbit, values)

    @torch.no_grad()
    def amplitudes(self, state: AutoregressiveState) -> Amplitudes:
        """Evaluates a plain state on all configurations and symmetrizes it."""
        parts = [state.log_psi(part) for part in self.spins.split(4 * AT_ONCE)]
        amplitude, phase = (torch.cat(column) for column in zip(*parts, strict=True))
        probability = (2 * amplitude).exp()
        total = self.add_up(probability)
        size = (total / self.add_up(torch.ones_like(probability))).sqrt()
        psi = size if state.kind == "positive" else torch.polar(size, phase[self.first])
        dtype = torch.promote_types(psi.dtype, self.matrix.dtype)
        energies = (self.matrix.to(dtype) @ psi.to(dtype)[:, None])[:, 0] / psi
        return Amplitudes(total, size.log(), energies, probability / total[self.orbit])

    def jacobian(self, state: AutoregressiveState, found: Amplitudes) -> Iterator[Block]:
        """Derivatives of log psi of every orbit, as :func:`seqtant.models.wavefunctions.jacobian.jacobian` gives them.

        Args:
            state: The plain state.
            found: From :meth:`amplitudes` at the same parameters.
        """
        phases = {block.parameters: block.phase for block in jacobian(state, self.spins[self.first])}
        sums: dict[tuple[str, ...], Tensor] = {}
        without_phase = copy.copy(state)
        without_phase.kind = "real" if state.kind == "real" else "positive"
        for part in torch.arange(len(self.orbit), device=self.orbit.device).split(AT_ONCE):
            gathering = self._gathering(part, found.share)
            for block in jacobian(without_phase, self.spins[part]):
                added = gathering.to(block.amplitude.dtype) @ block.amplitude
                sums[block.parameters] = sums.get(block.parameters, 0) + added
        for parameters, amplitude in sums.items():
            yield Block(parameters, amplitude, phases[parameters])

    def _gathering(self, part: Tensor, weights: Tensor) -> Tensor:
        """Sparse matrix (orbits, part) that adds up the rows of each orbit with their weights."""
        places = torch.stack([self.orbit[part], torch.arange(len(part), device=part.device)])
        return torch.sparse_coo_tensor(places, weights[part], (len(self), len(part)), check_invariants=False)


def _index(spins: NDArray[np.int8]) -> NDArray[np.int64]:
    return ((spins < 0).astype(np.int64) << np.arange(spins.shape[1])).sum(1)


def _gathered(rows: Any, orbit: NDArray[np.int64]) -> Tensor:
    """Elements of a sparse matrix with its columns added up by orbit."""
    entries = rows.tocoo()
    places = torch.from_numpy(np.stack([entries.row.astype(np.int64), orbit[entries.col]]))
    size = (rows.shape[0], rows.shape[0])
    return torch.sparse_coo_tensor(places, torch.from_numpy(entries.data), size, check_invariants=False).coalesce()
