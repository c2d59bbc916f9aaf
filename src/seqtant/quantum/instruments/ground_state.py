"""Trains a wave function to the ground state and compares its energy with the exact or published one."""

from __future__ import annotations

from statistics import median

from seqtant.findings import Assumption, Cell, Result, Verdict
from seqtant.quantum.config import GroundStateConfig
from seqtant.quantum.instruments.exact import Reference, find_reference
from seqtant.quantum.theory import v_score
from seqtant.quantum.training.checkpoint import RECORD, WEIGHTS
from seqtant.quantum.training.ground_states import Trained, train
from seqtant.quantum.training.systems import System
from seqtant.quantum.training.vmc import PARTS
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.runs.verb import verb


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
        trained = train(config, context)
        report(record, trained, find_reference(trained.system, quick=True), context)
    return record.result


def report(record: Recorder, trained: Trained, reference: Reference | None, context: Context) -> None:
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
    _record_comparison(record, trained, reference)
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
    if context.folder is not None and training.processes.rank == 0 and training.total:
        record.artifact(context.folder / WEIGHTS, "weights of the state")
        record.artifact(context.folder / RECORD, "record of the state")


def _record_comparison(record: Recorder, trained: Trained, reference: Reference | None) -> None:
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
