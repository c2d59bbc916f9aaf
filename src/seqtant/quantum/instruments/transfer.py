"""Transfers a trained state to another lattice and trains on: the weights of a small one start the large one."""

from __future__ import annotations

import torch

from seqtant.findings import Result
from seqtant.quantum.config import GroundStateConfig, OptimizerConfig, SystemConfig, TransferConfig
from seqtant.quantum.instruments.exact import find_reference
from seqtant.quantum.instruments.ground_state import report
from seqtant.quantum.observation import Hamiltonian
from seqtant.quantum.training.checkpoint import checkpoint_folder, load_state
from seqtant.quantum.training.distributed import generator_for
from seqtant.quantum.training.ground_states import train
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder


def run(config: TransferConfig, context: Context) -> Result:
    """Transfers a state and trains on.

    Raises:
        InputError: The folder holds no sound state, or it does not fit the lattice.
        TrainingError: The energy is not finite.
    """
    folder = checkpoint_folder(config.checkpoint)
    system, state, record_of = load_state(folder, lattice=config.lattice, boundary=config.boundary, field=config.field)
    title = f"Transfer from {record_of.system.lattice} to {system.lattice}"
    with Recorder("quantum.transfer", title, config, context, papers=(9,)) as record:
        drawn = state.sample(config.samples, generator_for(context.seed, 8))
        spins, counts = torch.unique(drawn, dim=0, return_counts=True)
        energies = Hamiltonian(system.pauli).local_energy(state, spins).real
        before = float((counts * energies).sum() / counts.sum()) / system.sites
        record.value("energy_per_site_before", before)
        settings = GroundStateConfig(
            **{name: getattr(system.config, name) for name in SystemConfig.__dataclass_fields__},
            steps=config.steps,
            samples=config.samples,
            evaluation_samples=config.evaluation_samples,
            transfer_from=str(folder),
            # The weights are good already: large first steps would only spoil them.
            optimizer=OptimizerConfig(learning_rate=0.02),
        )
        trained = train(settings, context)
        report(record, trained, find_reference(trained.system, quick=True), context)
    return record.result
