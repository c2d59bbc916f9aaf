"""Trains a ground state from a configuration: what the verbs ground-state and transfer share."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seqtant.errors import InputError
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.quantum.config import GroundStateConfig, SystemConfig
from seqtant.quantum.exact import Orbits
from seqtant.quantum.observation import ENUMERATED, Energy, evaluate
from seqtant.quantum.operators.lattices import Group, symmetry_group
from seqtant.quantum.training.checkpoint import (
    RECORD,
    Record,
    checkpoint_folder,
    load_weights,
    network_for,
    read_record,
    unpack,
)
from seqtant.quantum.training.distributed import DistributedContext, generator_for
from seqtant.quantum.training.systems import System, make_state, network_of, resolve_network
from seqtant.quantum.training.vmc import VMC
from seqtant.runs.context import Context
from seqtant.settings import config_hash
from seqtant.sources import is_path

DRAWN = 512
"""Configurations drawn per step by default."""
MOST_ORBITS = 4096
"""Orbits beyond which the kernel of a step grows too large."""


@dataclass(frozen=True)
class Trained:
    """A trained state with its energies."""

    system: System
    training: VMC
    """The optimization, with its history."""
    group: Group
    """Symmetries of the system."""
    plain: Energy
    """Energy of the state as trained."""
    energy: Energy
    """Energy of the state as evaluated: symmetrized, if that was asked for."""


def train(config: GroundStateConfig, context: Context) -> Trained:
    """Trains and evaluates a wave function; continues from the folder's checkpoint of the same run.

    Raises:
        InputError: The system, the network and the checkpoint do not fit each other.
        TrainingError: The energy is not finite.
    """
    system = System.of(config)
    processes = DistributedContext(context.device)
    network = resolve_network(config.network, system)
    source = record_of = None
    if is_path(config.transfer_from):
        source = checkpoint_folder(config.transfer_from)
        record_of = read_record(source)
    elif config.transfer_from is not None:
        source, record_of = unpack(config.transfer_from, alone=True)
        network_of(source)  # refuses what cannot be made again
    # A transferred state keeps its network, but stays in the sector of the new system.
    if record_of is not None:
        network = replace(network_for(record_of, system), magnetization=network.magnetization)
    state = make_state(system, network, generator_for(context.seed, 0))
    if source is not None:
        load_weights(state, source)
    state = state.to(processes.device(context.device))
    group = symmetry_group(system.lattice, system.pauli, state.magnetization)
    orbits = None
    if not isinstance(config.samples, int) and not config.optimizer.stages:
        averaged = config.network.phases == "mean" and state.has_phase
        orbits = orbits_to_sum(system, state, group, required=config.samples == "all", averaged=averaged)
    # Sums need one phase per orbit, that of its first configuration.
    network = replace(network, phases=network.phases if orbits is None else "first")
    symmetrized = group.symmetrize(state, network.image_phases)
    samples = config.samples if isinstance(config.samples, int) else DRAWN
    training = VMC(
        state,
        system.pauli,
        config.optimizer,
        steps=config.steps,
        samples=samples if orbits is None else len(orbits.spins),
        seed=context.seed,
        processes=processes,
        symmetrized=symmetrized if config.optimizer.symmetrize or orbits is not None else None,
        orbits=orbits,
    )
    # The record holds the system alone, not the settings of the training.
    own = SystemConfig(**{name: getattr(config, name) for name in SystemConfig.__dataclass_fields__})
    record = Record(own, network, 0, context.seed, config_hash(config))
    _resume(training, record, context)
    training.run(context.folder, record, config.checkpoint_every, context.progress)
    # Different generators for plain and symmetrized: two independent estimates.
    plain = evaluate(state, training.hamiltonian, config.evaluation_samples, generator_for(context.seed, 1))
    best = plain
    if config.symmetrize and len(group) > 1:
        generator, count = generator_for(context.seed, 2), config.evaluation_samples
        found = evaluate(symmetrized, training.hamiltonian, count, generator, progress=context.progress)
        # Averaged phases only fit a ground state that the group leaves alone; for positive states it always is.
        if state.kind == "positive" or found.total <= plain.total:
            best = found
    return Trained(system, training, group, plain, best)


def orbits_to_sum(
    system: System, state: AutoregressiveState, group: Group, *, required: bool, averaged: bool
) -> Orbits | None:
    """Finds the orbits to sum over in every step; None where steps sample instead.

    Sums are worth their cost where the signs of the ground state must be learned. If ``required``, everything is summed
    or refused; ``averaged`` says that the symmetrized state takes the mean phase of all images, which sums cannot.

    Raises:
        InputError: Sums are required where there are too many configurations, or with averaged phases.
    """
    if required and system.sites > ENUMERATED:
        raise InputError(f"samples=all sums over every configuration: {system.sites} spins have too many, draw some")
    if required and averaged:
        raise InputError("samples=all takes the phase of the first image: leave network.phases at auto")
    # From the sign rule on, the ground state is known to be even under every symmetry as long as frustration is weak.
    signs = state.has_phase and bool(system.pauli.rotated_sites)
    if not required and (averaged or not signs or system.sites > ENUMERATED):
        return None
    orbits = Orbits.of(system.pauli, group, state.magnetization)
    if len(orbits) > MOST_ORBITS:
        if required:
            raise InputError(f"samples=all would solve for {len(orbits)} orbits: at most {MOST_ORBITS}, draw samples")
        return None
    return orbits.to(next(state.parameters()).device)


def _resume(training: VMC, record: Record, context: Context) -> None:
    """Continues from the folder's checkpoint, if there is one.

    Raises:
        InputError: The folder holds the state of another run.
    """
    folder = context.folder
    if folder is None or not (folder / RECORD).is_file():
        return
    found = read_record(folder)
    # Only the same run is resumed: the same settings and the same seed.
    if (found.config_hash, found.seed) != (record.config_hash, record.seed):
        theirs, ours = found.system, record.system
        other = "another run" if theirs == ours else f"{System.of(theirs).name} on {theirs.lattice}, {theirs.boundary}"
        raise InputError(
            f"'{folder}' holds a checkpoint of {other} with other settings: choose another folder, "
            "or start from it with --transfer-from"
        )
    training.resume(folder)
    context.progress.note(f"resumed at step {training.done} of {training.total}")
