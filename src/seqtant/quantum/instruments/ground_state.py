"""Trains a wave function to the ground state and compares its energy with the exact or published one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median

from seqtant.errors import InputError
from seqtant.findings import Assumption, Cell, Result, Verdict
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.quantum.config import GroundStateConfig, SystemConfig
from seqtant.quantum.exact import Orbits
from seqtant.quantum.instruments.exact import Reference, find_reference
from seqtant.quantum.observation import ENUMERATED, Energy, evaluate
from seqtant.quantum.operators.lattices import Group, symmetry_group
from seqtant.quantum.theory import v_score
from seqtant.quantum.training.checkpoint import (
    RECORD,
    WEIGHTS,
    Record,
    checkpoint_folder,
    load_weights,
    network_for,
    read_record,
    unpack,
)
from seqtant.quantum.training.distributed import DistributedContext, generator_for
from seqtant.quantum.training.systems import System, make_state, network_of, resolve_network
from seqtant.quantum.training.vmc import PARTS, VMC
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.settings import config_hash
from seqtant.sources import is_path

DRAWN = 512
"""Configurations drawn per step by default."""
MOST_ORBITS = 4096
"""Orbits beyond which the kernel of a step grows too large."""


@verb(GroundStateConfig)
def ground_state(config: GroundStateConfig, context: Context) -> Result:
    """Trains a wave function to the ground state of a Hamiltonian and compares its energy with what is known.

    The state minimizes <psi|H|psi> by natural gradients on exact, independent samples, or on sums over all
    configurations where its signs must be learned. Its energy lies above the exact one, up to its standard error.

    Returns:
        ``energy_per_site`` with ``energy_error``, beside ``exact_energy_per_site`` and ``relative_error`` where an
        exact or published energy is known; ``variance``, ``v_score``; the training curve as measurements. With ``out``,
        the trained state.

    Raises:
        InputError: The settings do not fit each other, or the folder holds another run.
        TrainingError: The energy is not finite.

    Example:
        >>> from seqtant.quantum import NetworkConfig, ground_state, square, transverse_ising
        >>> small = NetworkConfig(depth=2, width=4)
        >>> result = ground_state(transverse_ising(square(2, 3), field=3.0), steps=20, samples=64, network=small)
        >>> result.values["relative_error"] < 1e-3
        True
    """
    system = System.of(config)
    title = f"Ground state of {system.name} on {system.lattice}, {system.lattice.boundary}"
    with Recorder("quantum.ground-state", title, config, context, papers=(9,)) as record:
        report(record, train(config, context))
    return record.result


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
    # Only the same run is resumed: the same settings and the same seed.
    if context.folder is not None and (context.folder / RECORD).is_file():
        left = read_record(context.folder)
        if (left.config_hash, left.seed) != (record.config_hash, record.seed):
            theirs = left.system
            other = (
                "another run" if theirs == own else f"{System.of(theirs).name} on {theirs.lattice}, {theirs.boundary}"
            )
            raise InputError(
                f"'{context.folder}' holds a checkpoint of {other} with other settings: choose another folder, "
                "or start from it with --transfer-from"
            )
        training.resume(context.folder)
        context.progress.note(f"resumed at step {training.done} of {training.total}")
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


def report(record: Recorder, trained: Trained) -> None:
    """Records energies, times, the comparison with a reference, and the training curve of a trained state."""
    system, energy, training = trained.system, trained.energy, trained.training
    sites, history = system.sites, training.history
    numbers = {"energy_per_site": energy.total / sites, "energy_error": energy.error / sites, "energy": energy.total}
    numbers |= {"variance": energy.variance, "variance_unsymmetrized": trained.plain.variance}
    numbers["energy_per_site_unsymmetrized"] = trained.plain.total / sites
    for name, number in numbers.items():
        record.value(name, number)
    record.value("v_score", v_score(energy.total, energy.variance, sites) if energy.total else None)
    record.value("parameters", sum(p.numel() for p in training.state.parameters()))
    record.value("symmetries", len(trained.group))
    if history:
        seconds = median(sum(step[part] for part in PARTS) for step in history)
        record.value("seconds_per_step", seconds)
        record.value("samples_per_second", median(training.schedule) / seconds)
        for part in PARTS:
            record.value(f"{part}_per_step", median(step[part] for step in history))
    _record_comparison(record, trained)
    for note in system.notes:
        record.warn(note)
    for step in history:
        at = step["step"]
        record.measure("energy_per_site", step["energy"] / sites, step=at)
        record.measure("energy_error", step["error"] / sites, step=at)
        record.measure("variance", step["variance"], step=at)
        for part in PARTS:
            record.measure(part, step[part], unit="s", step=at)
    states = {"as trained": trained.plain}
    if energy is not trained.plain:
        states[f"symmetrized, {len(trained.group)} elements"] = energy
    rows: list[tuple[Cell, ...]] = []
    for name, found in states.items():
        shown = found.per_site(sites)
        rows.append((name, shown.value, ((shown.high or 0.0) - (shown.low or 0.0)) / (2 * 1.96), found.variance))
    columns = ("state", "energy per site", "standard error", "variance")
    record.table("energies", "Energy per site", columns, rows, note=system.pauli.convention)
    folder = record.context.folder
    if folder is not None and training.processes.rank == 0 and training.total:
        record.artifact(folder / WEIGHTS, "weights of the state")
        record.artifact(folder / RECORD, "record of the state")


def _record_comparison(record: Recorder, trained: Trained) -> None:
    reference = find_reference(trained.system, quick=True)
    sites, energy, orbits = trained.system.sites, trained.energy, trained.training.orbits
    measured = energy.per_site(sites)
    convention = trained.system.pauli.convention
    if reference is None:
        record.value("exact_energy_per_site", None)
        record.value("relative_error", None)
        summary = f"{measured} per site; no exact value is known; {convention}"
        question = "What is the ground-state energy?"
        record.finding("energy_per_site", question, "inconclusive", summary, measured=measured)
        return
    record.value("exact_energy_per_site", reference.energy / sites)
    gap = energy.total - reference.energy
    relative = gap / abs(reference.energy) if reference.energy else None
    record.value("relative_error", relative)
    verdict, advice = judge(gap, energy.error, reference)
    # Sums over orbits only reach states that are even under every symmetry.
    if verdict == "disagrees" and gap > 0 and orbits is not None and trained.training.state.has_phase:
        advice += (
            "; the ground state may not be even under every symmetry: --samples 512 draws, and trains without them"
        )
    shown = "not defined" if relative is None else f"{relative:.2e}"
    noise = energy.error / max(1e-300, abs(reference.energy))
    how = ""
    if orbits is not None:
        how = f"; each step summed over all {len(orbits.spins)} configurations ({len(orbits)} orbits), none was drawn"
    record.finding(
        "energy_per_site",
        "How close is the trained state to the ground state?",
        verdict,
        f"relative error {shown} (standard error {noise:.1e}){how}; {convention}",
        predicted=reference.per_site(sites),
        measured=measured,
        assumptions=(lies_above(gap, energy.error, reference),),
        advice=advice,
    )


def lies_above(gap: float, error: float, reference: Reference) -> Assumption:
    """Checks that an energy lies above the exact one, up to three standard errors and rounding."""
    statement = "A variational energy lies above the ground state's"
    how = f"energy - reference = {gap:.3g}, standard error {error:.2g}"
    if not reference.exact:
        return Assumption(statement=statement, status="not checked", how=f"{how}, but the reference is no exact value")
    holds = gap >= -3 * error - 1e-9 * abs(reference.energy)
    return Assumption(statement=statement, status="holds" if holds else "fails", how=how)


def judge(gap: float, error: float, reference: Reference) -> tuple[Verdict, str]:
    """Compares an energy with a reference at a relative tolerance of 0.1 %; gives verdict and advice."""
    tolerance = 1e-3 * abs(reference.energy)
    if not reference.exact:
        return ("agrees" if abs(gap) <= tolerance + 3 * error else "disagrees"), "the reference is no exact value"
    # The variational principle: no state lies below the exact energy.
    if gap < -3 * error - 1e-9 * abs(reference.energy):
        return "disagrees", "an energy below the exact one is a fault: report it"
    if gap <= tolerance:
        return "agrees", ""
    if gap - 3 * error > tolerance:
        return "disagrees", "train longer, or with a wider network (network.width, network.depth)"
    return "inconclusive", "draw more samples (evaluation_samples)"
