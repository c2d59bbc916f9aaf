"""Measures observables of a trained state, each with its error."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from seqtant.findings import Cell, Estimate, Result
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.symmetrized_state import SymmetrizedState
from seqtant.quantum.config import ObserveConfig
from seqtant.quantum.exact.diagonalization import ground_state
from seqtant.quantum.observation import observables
from seqtant.quantum.observation.evaluation import ENUMERATED, Energy, amplitudes, evaluate, summed
from seqtant.quantum.operators.local_energy import Hamiltonian
from seqtant.quantum.operators.symmetries import symmetry_group
from seqtant.quantum.theory import v_score
from seqtant.quantum.training.checkpoint import folder_of, load_state
from seqtant.quantum.training.distributed import Processes
from seqtant.quantum.training.rng import generator_for
from seqtant.quantum.training.systems import System
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

MOST = 64
"""Largest factor by which ``precision`` may raise the number of samples."""


def run(config: ObserveConfig, context: Context) -> Result:
    """Measures a trained state.

    Raises:
        InputError: The folder holds no sound state.
    """
    device = Processes(context.device).device(context.device)
    system, plain, record_of = load_state(folder_of(config.checkpoint), device=device)
    title = f"Observables of {system.config.hamiltonian} on {system.lattice}, {system.lattice.boundary}"
    with Recorder("quantum.observe", title, config, context, papers=(9,)) as record:
        group = symmetry_group(system.lattice, system.pauli, plain.magnetization)
        phases = record_of.network.image_phases
        state = group.symmetrize(plain, phases) if config.symmetrize and len(group) > 1 else plain
        vector = amplitudes(state) if system.sites <= ENUMERATED else None
        energy = _energy(config, context, system, state) if vector is None else summed(vector, system.pauli)
        spins = state.sample(config.samples, generator_for(context.seed, 4))
        found = measure(system, state, spins, config.samples, context.seed)
        _record(record, system, energy, found)
        _correlations(record, system, spins)
        if vector is not None:
            exact = ground_state(system.pauli).amplitudes
            record.value("fidelity", observables.fidelity(vector, exact))
            region = observables.left_half(system.lattice)
            record.value("exact_renyi_entropy", observables.exact_renyi_entropy(exact, system.sites, region))
    return record.result


def _energy(
    config: ObserveConfig, context: Context, system: System, state: AutoregressiveState | SymmetrizedState
) -> Energy:
    hamiltonian, samples = Hamiltonian(system.pauli), config.samples
    found = evaluate(state, hamiltonian, samples, generator_for(context.seed, 3), progress=context.progress)
    if config.precision is not None and found.error > config.precision * system.sites:
        wanted = samples * (found.error / (config.precision * system.sites)) ** 2
        samples = int(min(MOST * samples, 1.1 * wanted))
        found = evaluate(state, hamiltonian, samples, generator_for(context.seed, 5), progress=context.progress)
    return found


def measure(
    system: System, state: AutoregressiveState | SymmetrizedState, spins: Tensor, samples: int, seed: int
) -> dict[str, Estimate]:
    """All observables of a state by name."""
    found = observables.magnetizations(spins, system.lattice)
    if state.magnetization is None:
        found["transverse_magnetization"] = observables.transverse_magnetization(state, spins)
    pairs = state.sample(samples - samples % 2, generator_for(seed, 6))
    found["renyi_entropy"] = observables.renyi_entropy(state, pairs, observables.left_half(system.lattice))
    return found


def _record(record: Recorder, system: System, energy: Energy, found: dict[str, Estimate]) -> None:
    sites = system.sites
    per_site = energy.per_site(sites)
    record.value("energy_per_site", per_site.value)
    record.value("energy_error", energy.error / sites)
    record.value("variance", energy.variance)
    record.value("v_score", v_score(energy.total, energy.variance, sites) if energy.total else None)
    convention = system.pauli.convention
    record.finding(
        "energy_per_site",
        "What is the energy per site of the state?",
        "agrees",
        f"{per_site} ({convention})",
        measured=per_site,
    )
    rows: list[tuple[Cell, ...]] = [("energy per site", per_site.value, per_site.low, per_site.high)]
    for name, estimate in found.items():
        record.value(name, estimate.value)
        rows.append((name.replace("_", " "), estimate.value, estimate.low, estimate.high))
    note = f"{convention}; Renyi entropy (second, nats) of the left half; Z eigenvalues are +1 and -1"
    record.table("observables", "Observables", ("observable", "value", "low", "high"), rows, note=note)


def _correlations(record: Recorder, system: System, spins: Tensor) -> None:
    found = observables.correlations(spins)
    center = (system.lattice.rows // 2) * system.lattice.columns + system.lattice.columns // 2
    for site in range(system.sites):
        record.measure("correlation", float(found.mean[center, site]), step=site, group=f"center {center}")
        record.measure("correlation_error", float(found.error[center, site]), step=site, group=f"center {center}")
    nearest = [found.mean[i, j] for i, j in system.lattice.bonds]
    record.value("nearest_neighbor_correlation", float(np.mean(nearest)))
    record.value("columns", system.lattice.columns)
