"""What the energy should be: closed forms, exact diagonalization, or a published table, each with its source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from seqtant.errors import InputError
from seqtant.quantum import theory
from seqtant.quantum.exact.diagonalization import LARGEST, ground_state
from seqtant.quantum.training.systems import System

TABLE = Path(__file__).parents[1] / "references.yaml"
QUICK = 16
"""Spins up to which diagonalization takes about a second."""


@dataclass(frozen=True)
class Reference:
    """A ground-state energy that others or we have found."""

    energy: float
    """Total energy in the room's convention."""
    error: float
    """Its standard error; 0 where it is exact to rounding."""
    exact: bool
    """Whether it is exact, not a bound or a Monte Carlo value."""
    source: str
    """How it was found."""


def find(system: System, *, quick: bool = False) -> Reference | None:
    """The best reference for a system, or None.

    Args:
        system: Lattice and Hamiltonian.
        quick: Diagonalize only what takes a second.
    """
    closed = closed_form(system)
    if closed is not None:
        return closed
    if system.sites <= (QUICK if quick else LARGEST):
        found = ground_state(system.pauli)
        return Reference(found.energy, 0.0, True, f"exact diagonalization, sector: {found.sector}")
    return published(system)


def closed_form(system: System) -> Reference | None:
    """The free-fermion energy of an Ising chain, where there is one."""
    config, lattice = system.config, system.lattice
    if config.operators is not None or config.hamiltonian != "tfim" or lattice.kind != "chain":
        return None
    if config.coupling < 0 or config.field < 0:
        return None
    try:
        energy = theory.ising_chain_energy(lattice.sites, config.field, config.coupling, lattice.boundary)
    except ValueError:
        return None
    return Reference(energy, 0.0, True, "free fermions (Pfeuty 1970)")


def published(system: System) -> Reference | None:
    """The entry of the table of published energies, if there is one."""
    config, lattice = system.config, system.lattice
    if config.operators is not None or config.coupling != 1.0:
        return None
    for row in _table():
        same = (row["hamiltonian"], row["lattice"], row["boundary"]) == (
            config.hamiltonian,
            str(lattice),
            lattice.boundary,
        )
        numbers = {"field": config.field, "second_coupling": config.second_coupling, "anisotropy": config.anisotropy}
        if same and all(row[key] == value for key, value in numbers.items() if key in row):
            return Reference(row["energy"], row.get("error", 0.0), row["exact"], row["source"])
    return None


def need(system: System) -> Reference:
    """The same, or an error.

    Raises:
        InputError: Nothing is known about the system.
    """
    found = find(system)
    if found is None:
        raise InputError(
            f"no exact energy is known for {system.config.hamiltonian} on {system.lattice}, {system.lattice.boundary}: "
            f"at most {LARGEST} spins can be diagonalized"
        )
    return found


@cache
def _table() -> list[dict[str, Any]]:
    return yaml.safe_load(TABLE.read_text(encoding="utf-8"))["energies"]
