"""Hamiltonians by name, each a sum of Pauli strings on a lattice.

Conventions, printed with every result: H_Ising = -J sum ZZ - field sum X with Pauli matrices; H_Heisenberg = J sum S.S
with spin 1/2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from seqtant.errors import InputError
from seqtant.quantum.operators.lattices import Bond, Lattice
from seqtant.quantum.operators.pauli import PauliSum, String
from seqtant.registry import Registry


@dataclass(frozen=True)
class Couplings:
    """Numbers that a Hamiltonian may need; each uses those it names."""

    coupling: float = 1.0
    """J."""
    field: float = 1.0
    """Transverse field of the Ising model."""
    anisotropy: float = 1.0
    """Delta of the XXZ model: weight of ZZ against XX and YY."""
    second_coupling: float = 0.0
    """J2 between second neighbors."""
    marshall: bool = True
    """Rotate one sublattice by pi about z (Marshall sign rule) where the lattice has two."""


Maker = Callable[[Lattice, Couplings], PauliSum]
HAMILTONIANS: Registry[Maker] = Registry("Hamiltonian", group="seqtant.hamiltonians")


@HAMILTONIANS.register("tfim")
def tfim(lattice: Lattice, couplings: Couplings) -> PauliSum:
    """Transverse-field Ising model: H = -J sum ZZ - field sum X.

    Example:
        >>> len(tfim(Lattice.parse("4x4"), Couplings(field=3.0)).strings)
        40
    """
    bonds = [String(-couplings.coupling, "ZZ", bond) for bond in lattice.bonds]
    field = [String(-couplings.field, "X", (site,)) for site in range(lattice.sites)]
    convention = f"H = -J sum ZZ - field sum X, Pauli matrices, J = {couplings.coupling:g}, field = {couplings.field:g}"
    return PauliSum(lattice.sites, tuple(bonds + field), f"{convention}, {lattice.boundary} boundary")


@HAMILTONIANS.register("heisenberg")
def heisenberg(lattice: Lattice, couplings: Couplings) -> PauliSum:
    """Heisenberg model: H = J sum S.S, spin 1/2."""
    strings = exchange(lattice.bonds, couplings.coupling)
    convention = f"H = J sum S.S, spin 1/2, J = {couplings.coupling:g}"
    return _rotated(PauliSum(lattice.sites, strings, _named(convention, lattice)), lattice, couplings)


@HAMILTONIANS.register("xxz")
def xxz(lattice: Lattice, couplings: Couplings) -> PauliSum:
    """XXZ model: H = J sum (SxSx + SySy + anisotropy SzSz), spin 1/2."""
    strings = exchange(lattice.bonds, couplings.coupling, couplings.anisotropy)
    convention = (
        f"H = J sum (SxSx + SySy + Delta SzSz), spin 1/2, J = {couplings.coupling:g}, Delta = {couplings.anisotropy:g}"
    )
    return _rotated(PauliSum(lattice.sites, strings, _named(convention, lattice)), lattice, couplings)


@HAMILTONIANS.register("j1j2")
def j1j2(lattice: Lattice, couplings: Couplings) -> PauliSum:
    """J1-J2 model: H = J sum S.S over nearest + J2 sum S.S over second neighbors, spin 1/2."""
    strings = exchange(lattice.bonds, couplings.coupling) + exchange(lattice.second_bonds, couplings.second_coupling)
    convention = (
        f"H = J sum S.S (nearest) + J2 sum S.S (second), spin 1/2, J = {couplings.coupling:g}, "
        f"J2 = {couplings.second_coupling:g}"
    )
    return _rotated(PauliSum(lattice.sites, strings, _named(convention, lattice)), lattice, couplings)


def exchange(bonds: tuple[Bond, ...], coupling: float, anisotropy: float = 1.0) -> tuple[String, ...]:
    """Pauli strings of coupling * S.S on bonds; S = sigma / 2."""
    quarter = coupling / 4
    return tuple(
        String(quarter * (anisotropy if axis == "ZZ" else 1.0), axis, bond)
        for bond in bonds
        for axis in ("XX", "YY", "ZZ")
    )


def build(name: str, lattice: Lattice, couplings: Couplings) -> PauliSum:
    """A Hamiltonian by name.

    Raises:
        InputError: There is no such Hamiltonian, a coupling is not finite, or nothing is left of the sum.

    Example:
        >>> build("heisenberg", Lattice.parse("4x4", "periodic"), Couplings()).convention[:20]
        'H = J sum S.S, spin '
    """
    for key in ("coupling", "field", "anisotropy", "second_coupling"):
        value = getattr(couplings, key)
        if not math.isfinite(value):
            raise InputError(f"{key} is {value}: give a finite number")
    return HAMILTONIANS[name](lattice, couplings).simplified()


def _named(convention: str, lattice: Lattice) -> str:
    return f"{convention}, {lattice.boundary} boundary"


def _rotated(hamiltonian: PauliSum, lattice: Lattice, couplings: Couplings) -> PauliSum:
    # The checkerboard rotation is unitary on any lattice; only on a bipartite one does it remove all signs.
    fits = lattice.boundary == "open" or not any(size % 2 for size in lattice.shape if size > 1)
    if not couplings.marshall or not fits:
        return hamiltonian
    color = tuple((1 - sign) // 2 for sign in lattice.staggering)
    return hamiltonian.rotated(tuple(site for site in range(lattice.sites) if color[site]))
