"""Transfers a trained state to another lattice and trains on: the weights of a small one start the large one."""

from __future__ import annotations

import torch

from seqtant.findings import Result
from seqtant.quantum.config import GroundStateConfig, OptimizerConfig, SystemConfig, TransferConfig
from seqtant.quantum.instruments.ground_state import report, train
from seqtant.quantum.observation import Hamiltonian
from seqtant.quantum.training.checkpoint import checkpoint_folder, load_state
from seqtant.quantum.training.distributed import generator_for
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import is_path


@verb(TransferConfig)
def transfer(config: TransferConfig, context: Context) -> Result:
    """Transfers a trained state to another lattice or field, and trains on.

    Weights do not depend on the lattice, so those of a small one are a good start on a large one; the state given is
    left as it is.

    Returns:
        ``energy_per_site_before`` training, and all that :func:`~seqtant.quantum.ground_state` returns after it.

    Raises:
        InputError: The folder holds no sound state, or it does not fit the lattice.
        TrainingError: The energy is not finite.

    Example:
        >>> from seqtant.quantum import square, transfer
        >>> result = transfer("", square(4, 5), steps=1, samples=32, evaluation_samples=32)
        >>> result.values["energy_per_site_before"] < -2.9
        True
    """
    source = checkpoint_folder(config.checkpoint) if is_path(config.checkpoint) else config.checkpoint
    system, state, record_of = load_state(source, lattice=config.lattice, boundary=config.boundary, field=config.field)
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
            transfer_from=str(source) if is_path(source) else source,
            # The weights are good already: large first steps would only spoil them.
            optimizer=OptimizerConfig(learning_rate=0.02),
        )
        report(record, train(settings, context))
    return record.result
