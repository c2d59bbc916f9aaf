"""Symmetries of a lattice that a Hamiltonian shares: rotations, mirrors, translations, the flip of all spins."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray

from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.symmetrized_state import Phases, SymmetrizedState
from seqtant.quantum.operators.lattices import Lattice
from seqtant.quantum.operators.pauli import PauliSum

LARGEST_GROUP = 64
"""More images than this are not worth their cost: translations are then left out."""


@dataclass(frozen=True)
class Group:
    """Site permutations, each with or without a flip of all spins.

    Element g maps a configuration s to one with spin ``signs[g] * s[permutations[g, i]]`` at site i.
    """

    permutations: NDArray[np.int64]
    signs: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.signs)

    def symmetrize(self, state: AutoregressiveState, phases: Phases = "mean") -> SymmetrizedState:
        """The state averaged over the group."""
        return SymmetrizedState(state, torch.from_numpy(self.permutations), torch.from_numpy(self.signs), phases)


def symmetry_group(lattice: Lattice, pauli: PauliSum, magnetization: int | None = None) -> Group:
    """All symmetries of the lattice that leave the Hamiltonian (and the sector) as it is.

    Args:
        lattice: The lattice.
        pauli: The Hamiltonian.
        magnetization: The sector, if the state is confined to one.

    Example:
        >>> from seqtant.quantum.operators.hamiltonians import Couplings, build
        >>> square = Lattice.parse("4x4")
        >>> len(symmetry_group(square, build("tfim", square, Couplings())))
        16
    """
    places = np.arange(lattice.sites).reshape(lattice.shape)
    shifts = [(0, 0)]
    if lattice.boundary == "periodic":
        shifts = list(product(range(lattice.rows), range(lattice.columns)))
    if 16 * len(shifts) > LARGEST_GROUP * 4:
        shifts = [(0, 0)]
    maps: dict[tuple[int, ...], None] = {}
    for turned in _point_group(places):
        for down, across in shifts:
            maps[tuple(int(x) for x in np.roll(turned, (down, across), (0, 1)).flatten())] = None
    kept = [m for m in maps if pauli.transformed(np.array(m, dtype=np.int64)).same_as(pauli)]
    flips = [1, -1] if pauli.is_flip_symmetric and not magnetization else [1]
    pairs = [(m, sign) for sign in flips for m in kept]
    permutations = np.array([m for m, _ in pairs], dtype=np.int64)
    return Group(permutations, np.array([sign for _, sign in pairs], dtype=np.int64))


def _point_group(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    square = places.shape[0] == places.shape[1]
    turned = [np.rot90(places, k) for k in (range(4) if square else (0, 2))]
    return [x for t in turned for x in (t, t[:, ::-1])]
