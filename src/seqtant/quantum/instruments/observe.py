"""Measures observables of a trained state, each with its error."""

from __future__ import annotations

import numpy as np

from seqtant.findings import Cell, Result
from seqtant.quantum.config import ObserveConfig
from seqtant.quantum.exact import diagonalize
from seqtant.quantum.observation import (
    ENUMERATED,
    Hamiltonian,
    amplitudes,
    correlations,
    energy_of_vector,
    evaluate,
    exact_renyi_entropy,
    fidelity,
    magnetizations,
    renyi_entropy,
    transverse_magnetization,
)
from seqtant.quantum.operators.lattices import symmetry_group
from seqtant.quantum.theory import v_score
from seqtant.quantum.training.checkpoint import load_state
from seqtant.quantum.training.distributed import DistributedContext, generator_for
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb

MOST = 64
"""Largest factor by which ``precision`` may raise the number of samples."""


@verb(ObserveConfig)
def observe(config: ObserveConfig, context: Context) -> Result:
    """Measures energy, magnetizations, correlations and entanglement of a trained state, each with its error.

    On up to 16 spins the energy is a sum over all configurations; otherwise, and for the other observables, it is a
    mean over exact, independent samples. The second Renyi entropy is that of the left half, by swapping two samples.

    Returns:
        ``energy_per_site`` with ``energy_error``, ``variance``, ``v_score``, one value per observable; up to 16 spins
        the ``fidelity`` with the exact ground state; correlations as measurements.

    Raises:
        InputError: The folder holds no sound state, or the state has no Hamiltonian.

    Example:
        >>> from seqtant.quantum import CausalState, observe, transverse_ising
        >>> result = observe((CausalState("2x2", depth=2, width=4), transverse_ising("2x2")), samples=64)
        >>> 0 < result.values["fidelity"] < 1
        True
    """
    device = DistributedContext(context.device).device(context.device)
    system, plain, record_of = load_state(config.checkpoint, device=device)
    lattice, sites, seed = system.lattice, system.sites, context.seed
    title = f"Observables of {system.name} on {lattice}, {lattice.boundary}"
    with Recorder("quantum.observe", title, config, context, papers=(9,)) as record:
        group = symmetry_group(lattice, system.pauli, plain.magnetization)
        phases = record_of.network.image_phases
        state = group.symmetrize(plain, phases) if config.symmetrize and len(group) > 1 else plain
        vector = amplitudes(state) if sites <= ENUMERATED else None
        if vector is not None:
            energy = energy_of_vector(vector, system.pauli)
        else:
            hamiltonian, samples = Hamiltonian(system.pauli), config.samples
            energy = evaluate(state, hamiltonian, samples, generator_for(seed, 3), progress=context.progress)
            if config.precision is not None and energy.error > config.precision * sites:
                # The error falls with the root of the number of samples; 10 % more are drawn to be safe.
                wanted = samples * (energy.error / (config.precision * sites)) ** 2
                samples = int(min(MOST * samples, 1.1 * wanted))
                energy = evaluate(state, hamiltonian, samples, generator_for(seed, 5), progress=context.progress)
        spins = state.sample(config.samples, generator_for(seed, 4))
        found = magnetizations(spins, lattice)
        if state.magnetization is None:
            found["transverse_magnetization"] = transverse_magnetization(state, spins)
        left_half = [site for site in range(sites) if site % lattice.columns < lattice.columns // 2]
        pairs = state.sample(config.samples - config.samples % 2, generator_for(seed, 6))
        found["renyi_entropy"] = renyi_entropy(state, pairs, left_half)
        per_site = energy.per_site(sites)
        record.value("energy_per_site", per_site.value)
        record.value("energy_error", energy.error / sites)
        record.value("variance", energy.variance)
        record.value("v_score", v_score(energy.total, energy.variance, sites) if energy.total else None)
        convention = system.pauli.convention
        question = "What is the energy per site of the state?"
        record.finding("energy_per_site", question, "agrees", f"{per_site} ({convention})", measured=per_site)
        rows: list[tuple[Cell, ...]] = [("energy per site", per_site.value, per_site.low, per_site.high)]
        for name, estimate in found.items():
            record.value(name, estimate.value)
            rows.append((name.replace("_", " "), estimate.value, estimate.low, estimate.high))
        note = f"{convention}; Renyi entropy (second, nats) of the left half; Z eigenvalues are +1 and -1"
        record.table("observables", "Observables", ("observable", "value", "low", "high"), rows, note=note)
        means, errors = correlations(spins)
        center = (lattice.rows // 2) * lattice.columns + lattice.columns // 2
        for site in range(sites):
            record.measure("correlation", float(means[center, site]), step=site, group=f"center {center}")
            record.measure("correlation_error", float(errors[center, site]), step=site, group=f"center {center}")
        record.value("nearest_neighbor_correlation", float(np.mean([means[i, j] for i, j in lattice.bonds])))
        record.value("columns", lattice.columns)
        if vector is not None:
            exact = diagonalize(system.pauli).amplitudes
            record.value("fidelity", fidelity(vector, exact))
            record.value("exact_renyi_entropy", exact_renyi_entropy(exact, sites, left_half))
    return record.result
