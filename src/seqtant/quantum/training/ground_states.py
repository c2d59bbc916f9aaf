"""Training a ground state from a configuration: the part that the verbs ground-state and transfer share."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seqtant.errors import InputError
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.symmetrized_state import SymmetrizedState
from seqtant.quantum.config import GroundStateConfig, NetworkConfig, Samples, SystemConfig
from seqtant.quantum.exact.orbits import Orbits
from seqtant.quantum.observation.evaluation import ENUMERATED, Energy, evaluate
from seqtant.quantum.operators.local_energy import Hamiltonian
from seqtant.quantum.operators.symmetries import Group, symmetry_group
from seqtant.quantum.training.checkpoint import RECORD, Record, folder_of, load_weights, pinned, read_record
from seqtant.quantum.training.distributed import Processes
from seqtant.quantum.training.rng import generator_for
from seqtant.quantum.training.systems import (
    System,
    choose_kind,
    choose_magnetization,
    choose_network,
    default_depth,
    make_state,
)
from seqtant.quantum.training.vmc import Training
from seqtant.runs.context import Context
from seqtant.settings import config_hash

DRAWN = 512
"""Configurations drawn per step by default."""
MOST_ORBITS = 4096
"""Orbits beyond which the kernel of a step grows too large."""


@dataclass(frozen=True)
class Trained:
    """A trained state and what was seen on the way."""

    system: System
    training: Training
    group: Group
    plain: Energy
    """Energy of the state as trained."""
    energy: Energy
    """Energy of the state as evaluated: symmetrized, if that was asked for."""
    state: SymmetrizedState
    """The symmetrized state."""


def resolved(config: NetworkConfig, system: System) -> NetworkConfig:
    """A network's settings with everything that was left open decided."""
    name = choose_network(system.lattice, config)
    return replace(
        config,
        name=name,
        depth=config.depth or default_depth(name, system.lattice.shape),
        kind=choose_kind(system.pauli, config),
        magnetization=choose_magnetization(system, config),
    )


def train(config: GroundStateConfig, context: Context) -> Trained:
    """Trains and evaluates a wave function; goes on from the folder's checkpoint if it is of the same run.

    Raises:
        InputError: The system, the network and the checkpoint do not fit each other.
        TrainingError: The energy is not finite.
    """
    system = System.of(config)
    processes = Processes(context.device)
    network = resolved(config.network, system)
    if config.transfer_from is not None:
        source = read_record(folder_of(config.transfer_from))
        network = replace(pinned(source, system), magnetization=network.magnetization)
    state = make_state(system, network, generator_for(context.seed, 0))
    if config.transfer_from is not None:
        load_weights(state, folder_of(config.transfer_from))
    state = state.to(processes.device(context.device))
    group = symmetry_group(system.lattice, system.pauli, state.magnetization)
    orbits = orbits_to_sum(config, system, state, group)
    network = replace(network, phases=network.phases if orbits is None else "first")
    symmetrized = group.symmetrize(state, network.image_phases)
    training = Training(
        state,
        Hamiltonian(system.pauli),
        config.optimizer,
        steps=config.steps,
        samples=_samples(config.samples) if orbits is None else len(orbits.spins),
        seed=context.seed,
        processes=processes,
        symmetrized=symmetrized if config.optimizer.symmetrize or orbits is not None else None,
        orbits=orbits,
    )
    record = Record(_system_of(config), network, 0, context.seed, config_hash(config))
    _resume(training, record, context)
    training.run(context.folder, record, config.checkpoint_every, context.progress)
    plain = evaluate(state, training.hamiltonian, config.evaluation_samples, generator_for(context.seed, 1))
    best = plain
    if config.symmetrize and len(group) > 1:
        generator = generator_for(context.seed, 2)
        found = evaluate(
            symmetrized, training.hamiltonian, config.evaluation_samples, generator, progress=context.progress
        )
        # Averaged phases only fit a ground state that the group leaves alone; for positive states it always is.
        if state.kind == "positive" or found.total <= plain.total:
            best = found
    return Trained(system, training, group, plain, best, symmetrized)


def orbits_to_sum(config: GroundStateConfig, system: System, state: AutoregressiveState, group: Group) -> Orbits | None:
    """All configurations in their orbits, where steps are to sum over them; None where samples are drawn.

    Raises:
        InputError: Sums were asked for where there are too many configurations, or with averaged phases.
    """
    if isinstance(config.samples, int) or config.optimizer.stages:
        return None
    asked, averaged = config.samples == "all", config.network.phases == "mean" and state.has_phase
    if asked and system.sites > ENUMERATED:
        raise InputError(f"samples=all sums over every configuration: {system.sites} spins have too many, draw some")
    if asked and averaged:
        raise InputError("samples=all takes the phase of the first image: leave network.phases at auto")
    # From the sign rule on, the ground state is known to be even under every symmetry as long as frustration is weak.
    signs = state.has_phase and bool(system.pauli.rotated_sites)
    if not asked and (averaged or not signs or system.sites > ENUMERATED):
        return None
    orbits = Orbits.of(system.pauli, group, state.magnetization)
    if len(orbits) > MOST_ORBITS:
        if asked:
            raise InputError(f"samples=all would solve for {len(orbits)} orbits: at most {MOST_ORBITS}, draw samples")
        return None
    return orbits.to(next(state.parameters()).device)


def _samples(samples: Samples) -> int:
    return samples if isinstance(samples, int) else DRAWN


def _system_of(config: GroundStateConfig) -> SystemConfig:
    names = SystemConfig.__dataclass_fields__
    return SystemConfig(**{name: getattr(config, name) for name in names})


def _resume(training: Training, record: Record, context: Context) -> None:
    """Goes on from the folder's checkpoint.

    Raises:
        InputError: The folder holds the state of another run.
    """
    folder = context.folder
    if folder is None or not (folder / RECORD).is_file():
        return
    found = read_record(folder)
    if (found.config_hash, found.seed) != (record.config_hash, record.seed):
        theirs, ours = found.system, record.system
        other = "another run" if theirs == ours else f"{theirs.hamiltonian} on {theirs.lattice}, {theirs.boundary}"
        raise InputError(
            f"'{folder}' holds a checkpoint of {other} with other settings: choose another folder, "
            "or start from it with --transfer-from"
        )
    training.resume(folder)
    context.progress.note(f"resumed at step {training.done} of {training.total}")
