"""Carries a trained state to another lattice and trains on: what was learned on a small one starts the large one."""

from __future__ import annotations

from dataclasses import replace

from seqtant.findings import Result
from seqtant.quantum.config import GroundStateConfig, OptimizerConfig, SystemConfig, TransferConfig
from seqtant.quantum.instruments.ground_state import report
from seqtant.quantum.observation.evaluation import distinct
from seqtant.quantum.operators.local_energy import Hamiltonian
from seqtant.quantum.training.checkpoint import folder_of, load_state
from seqtant.quantum.training.ground_states import train
from seqtant.quantum.training.references import find
from seqtant.quantum.training.rng import generator_for
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder


def run(config: TransferConfig, context: Context) -> Result:
    """Transfers a state and trains on.

    Raises:
        InputError: The folder holds no sound state, or it does not fit the lattice.
        TrainingError: The energy is not finite.
    """
    folder = folder_of(config.checkpoint)
    system, state, record_of = load_state(folder, lattice=config.lattice, boundary=config.boundary, field=config.field)
    title = f"Transfer from {record_of.system.lattice} to {system.lattice}"
    with Recorder("quantum.transfer", title, config, context, papers=(9,)) as record:
        spins, counts = distinct(state, config.samples, generator_for(context.seed, 8))
        energies = Hamiltonian(system.pauli).local_energy(state, spins).real
        before = float((counts * energies).sum() / counts.sum()) / system.sites
        record.value("energy_per_site_before", before)
        trained = train(_ground_state(config, system.config, str(folder)), context)
        report(record, trained, find(trained.system, quick=True), context)
    return record.result


def _ground_state(config: TransferConfig, system: SystemConfig, folder: str) -> GroundStateConfig:
    values = {name: getattr(system, name) for name in SystemConfig.__dataclass_fields__}
    settings = GroundStateConfig(
        **values,
        steps=config.steps,
        samples=config.samples,
        evaluation_samples=config.evaluation_samples,
        transfer_from=folder,
    )
    # The weights are good already: large first steps would only spoil them.
    return replace(settings, optimizer=OptimizerConfig(learning_rate=0.02))
