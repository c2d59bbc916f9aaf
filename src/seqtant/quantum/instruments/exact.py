"""The exact ground-state energy of a lattice: closed form, diagonalization, or a published table."""

from __future__ import annotations

from seqtant.findings import Estimate, Result
from seqtant.quantum import theory
from seqtant.quantum.config import ExactConfig
from seqtant.quantum.training.references import Reference, need
from seqtant.quantum.training.systems import System
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder


def run(config: ExactConfig, context: Context) -> Result:
    """Finds the exact energy.

    Raises:
        InputError: The system is not known, or nothing is known about it.
    """
    system = System.of(config)
    with Recorder("quantum.exact", f"Exact energy: {system.pauli.convention}", config, context, papers=(9,)) as record:
        reference = need(system)
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
            predicted=estimate(reference, system.sites),
        )
        record.table(
            "energy",
            "Ground-state energy",
            ("quantity", "value", "source"),
            [
                ("energy", reference.energy, reference.source),
                ("energy per site", per_site, reference.source),
                *_limits(system),
            ],
            note=system.pauli.convention,
        )
    return record.result


def estimate(reference: Reference, sites: int) -> Estimate:
    """A reference as energy per site, with its interval."""
    value, half = reference.energy / sites, 1.96 * reference.error / sites
    if reference.exact:
        return Estimate.exact(value, method=reference.source)
    low, high = (value - half, value + half) if half else (None, None)
    return Estimate(value=value, low=low, high=high, method=reference.source)


def _limits(system: System) -> list[tuple[str, float, str]]:
    """Energies per site of the infinite chain, where a closed form gives them."""
    config = system.config
    if config.operators is not None or system.lattice.kind != "chain":
        return []
    if config.hamiltonian == "tfim":
        infinite = theory.ising_chain_energy_per_site_infinite(config.field, config.coupling)
        return [("infinite chain, per site", infinite, "free fermions (Pfeuty 1970)")]
    if config.hamiltonian == "heisenberg" and config.coupling == 1.0:
        return [("infinite chain, per site", theory.heisenberg_chain_energy_per_site_infinite(), "Bethe ansatz")]
    return []
