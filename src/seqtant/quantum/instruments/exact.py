"""Finds the exact ground-state energy of a lattice: closed form, exact diagonalization, or a published table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from seqtant.errors import InputError
from seqtant.findings import Estimate, Result
from seqtant.quantum import theory
from seqtant.quantum.config import ExactConfig
from seqtant.quantum.exact import LARGEST, diagonalize
from seqtant.quantum.training.systems import System
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb

TABLE = Path(__file__).parents[1] / "references.yaml"
"""Published energies, each with its source."""
QUICK = 16
"""Spins up to which diagonalization takes about a second."""


@dataclass(frozen=True)
class Reference:
    """A ground-state energy to compare with."""

    energy: float
    """Total energy in the convention of the Hamiltonian."""
    error: float
    """Its standard error; 0 where it is exact to rounding."""
    exact: bool
    """Whether it is exact, not a bound or a Monte Carlo value."""
    source: str
    """How it was found."""

    def per_site(self, sites: int) -> Estimate:
        """Energy per site with its 95 % interval."""
        value, half = self.energy / sites, 1.96 * self.error / sites
        if self.exact:
            return Estimate.exact(value, method=self.source)
        low, high = (value - half, value + half) if half else (None, None)
        return Estimate(value=value, low=low, high=high, method=self.source)


@verb(ExactConfig)
def exact_energy(config: ExactConfig, context: Context) -> Result:
    """Finds the exact ground-state energy of a Hamiltonian: closed form, diagonalization, or a published table.

    Ising chains are solved by free fermions at any length, other systems of up to 20 spins by sparse diagonalization in
    the smallest sector that must hold the ground state; beyond that, each energy of the table names its source.

    Returns:
        ``energy``, ``energy_per_site`` and ``sites``; the finding says how the energy was found.

    Raises:
        InputError: The system is not known, or nothing is known about it.

    Example:
        >>> from seqtant.quantum import exact_energy, heisenberg, square
        >>> result = exact_energy(heisenberg(square(4, boundary="periodic")))
        >>> round(result.values["energy_per_site"], 10)
        -0.7017802005
    """
    system = System.of(config)
    with Recorder("quantum.exact", f"Exact energy: {system.pauli.convention}", config, context, papers=(9,)) as record:
        reference = find_reference(system)
        if reference is None:
            raise InputError(
                f"no exact energy is known for {system.name} on {system.lattice}, {system.lattice.boundary}: "
                f"at most {LARGEST} spins can be diagonalized"
            )
        per_site = reference.energy / system.sites
        record.value("energy", reference.energy)
        record.value("energy_per_site", per_site)
        record.value("sites", system.sites)
        for note in system.notes:
            record.warn(note)
        record.finding(
            "energy_per_site",
            f"What is the ground-state energy per site on {system.lattice}?",
            "agrees" if reference.exact else "inconclusive",
            f"{per_site:.10g} per site ({reference.source}); {system.pauli.convention}",
            predicted=reference.per_site(system.sites),
        )
        rows = [("energy", reference.energy, reference.source), ("energy per site", per_site, reference.source)]
        # The infinite chain, where a closed form gives its energy.
        if system.model is not None and system.lattice.kind == "chain":
            if config.hamiltonian == "tfim":
                infinite = theory.ising_chain_energy_per_site_infinite(config.field, config.coupling)
                rows.append(("infinite chain, per site", infinite, "free fermions (Pfeuty 1970)"))
            elif config.hamiltonian == "heisenberg" and config.coupling == 1.0:
                infinite = theory.heisenberg_chain_energy_per_site_infinite()
                rows.append(("infinite chain, per site", infinite, "Bethe ansatz"))
        columns = ("quantity", "value", "source")
        record.table("energy", "Ground-state energy", columns, rows, note=system.pauli.convention)
    return record.result


def find_reference(system: System, *, quick: bool = False) -> Reference | None:
    """Finds the best reference for a system: closed form, diagonalization, or published table; None without any.

    If ``quick``, only what takes a second is diagonalized.
    """
    config, lattice = system.config, system.lattice
    named = system.model is not None
    # Free fermions solve the Ising chain of non-negative couplings.
    if named and config.hamiltonian == "tfim" and lattice.kind == "chain" and min(config.coupling, config.field) >= 0:
        try:
            energy = theory.ising_chain_energy(lattice.sites, config.field, config.coupling, lattice.boundary)
            return Reference(energy, 0.0, True, "free fermions (Pfeuty 1970)")
        except ValueError:
            pass  # odd or tiny rings have no closed form
    if system.sites <= (QUICK if quick else LARGEST):
        found = diagonalize(system.pauli)
        return Reference(found.energy, 0.0, True, f"exact diagonalization, sector: {found.sector}")
    if not named or config.coupling != 1.0:
        return None
    # Published energies are in units of the coupling; a row fits if it agrees in every number that it names.
    place = (config.hamiltonian, str(lattice), lattice.boundary)
    numbers = {"field": config.field, "second_coupling": config.second_coupling, "anisotropy": config.anisotropy}
    for row in yaml.safe_load(TABLE.read_text(encoding="utf-8"))["energies"]:
        same = (row["hamiltonian"], row["lattice"], row["boundary"]) == place
        if same and all(row[key] == value for key, value in numbers.items() if key in row):
            return Reference(row["energy"], row.get("error", 0.0), row["exact"], row["source"])
    return None
