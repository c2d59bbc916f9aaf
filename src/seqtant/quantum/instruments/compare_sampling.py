"""Exact sampling against Metropolis: autocorrelation, and the error of an observable against its cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqtant.errors import InputError
from seqtant.findings import Cell, Estimate, Result
from seqtant.progress import track
from seqtant.quantum.config import CompareSamplingConfig, SystemConfig
from seqtant.quantum.exact.diagonalization import ground_state
from seqtant.quantum.observation.evaluation import ENUMERATED, amplitudes
from seqtant.quantum.observation.metropolis import autocorrelation_time, chains, second_eigenvalue
from seqtant.quantum.theory import relaxation_time
from seqtant.quantum.training.checkpoint import folder_of, load_state
from seqtant.quantum.training.systems import System
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder


@dataclass(frozen=True)
class Case:
    """A distribution to sample from."""

    name: str
    sites: int
    probability: NDArray[np.float64]
    magnetization: NDArray[np.float64]


def run(config: CompareSamplingConfig, context: Context) -> Result:
    """Compares the two ways of sampling.

    Raises:
        InputError: The lattice is too large to know its probabilities.
    """
    cases = _cases(config)
    with Recorder(
        "quantum.compare-sampling", "Exact sampling against Metropolis", config, context, papers=(9,)
    ) as record:
        rng = np.random.default_rng(context.seed)
        tracked = track(cases, context.progress, "comparing", len(cases))
        rows = [_compare(record, case, config, rng) for case in tracked]
        record.table(
            "comparison",
            "Error of the magnetization by exact sampling and by Metropolis",
            (
                "case",
                "relaxation time (sweeps, exact)",
                "autocorrelation time (sweeps)",
                "error, exact sampling",
                "error, Metropolis",
                "Metropolis cost for equal error",
            ),
            rows,
            note=f"{config.samples} samples, as many Metropolis sweeps; root mean square over {config.repeats} "
            "repeats; chains start with all spins up; cost in evaluations of psi per evaluation of exact sampling",
        )
    return record.result


def _cases(config: CompareSamplingConfig) -> list[Case]:
    if config.checkpoint:
        system, state, _ = load_state(folder_of(config.checkpoint))
        _check(system.sites)
        return [_case(f"state of {system.lattice}", system.sites, np.abs(amplitudes(state)) ** 2)]
    found = []
    for field in config.fields:
        system = System.of(SystemConfig(lattice=config.lattice, field=field))
        _check(system.sites)
        found.append(_case(f"field {field:g}", system.sites, np.abs(ground_state(system.pauli).amplitudes) ** 2))
    return found


def _check(sites: int) -> None:
    if sites > ENUMERATED:
        raise InputError(f"{sites} spins have too many configurations to compare exactly: at most {ENUMERATED}")


def _case(name: str, sites: int, probability: NDArray[np.float64]) -> Case:
    bits = np.bitwise_count(np.arange(2**sites, dtype=np.uint64)).astype(float)
    return Case(name, sites, np.maximum(probability, 1e-300), 1 - 2 * bits / sites)


def _compare(record: Recorder, case: Case, config: CompareSamplingConfig, rng: np.random.Generator) -> tuple[Cell, ...]:
    true = float(case.probability @ case.magnetization)
    eigenvalue = second_eigenvalue(case.probability, case.sites)
    relaxation = relaxation_time(eigenvalue) / case.sites
    cumulative = np.cumsum(case.probability / case.probability.sum())
    drawn = np.searchsorted(cumulative, rng.random((config.samples, config.repeats))).clip(max=2**case.sites - 1)
    starts = np.zeros(config.repeats, dtype=np.int64)
    walked = chains(case.probability, case.sites, config.samples, starts, rng)
    exact, metropolis = case.magnetization[drawn], case.magnetization[walked]
    tau = autocorrelation_time(metropolis)
    errors = [float(np.sqrt(((x.mean(axis=0) - true) ** 2).mean())) for x in (exact, metropolis)]
    # A sweep is as many evaluations as there are spins; an exact sample costs about one.
    factor = case.sites * (errors[1] / errors[0]) ** 2
    key = case.name.replace(" ", "_").replace(".", "_")
    record.value(f"autocorrelation_sweeps_{key}", tau)
    record.value(f"relaxation_sweeps_{key}", relaxation)
    record.value(f"error_ratio_{key}", errors[1] / errors[0])
    _measure(record, case, exact, metropolis, true)
    record.finding(
        f"autocorrelation_{key}",
        f"How correlated is Metropolis at {case.name}?",
        "agrees",
        f"relaxation takes {relaxation:.3g} sweeps (second eigenvalue {eigenvalue:.8f}); exact samples are independent",
        predicted=Estimate.exact(relaxation, unit="sweeps", method="eigenvalue of the transition matrix"),
        measured=Estimate(value=tau, unit="sweeps", method="initial positive sequence", n=walked.size),
        advice="sample exactly" if relaxation > 2 else "",
    )
    return case.name, relaxation, tau, errors[0], errors[1], factor


def _measure(
    record: Recorder, case: Case, exact: NDArray[np.float64], metropolis: NDArray[np.float64], true: float
) -> None:
    steps = np.unique(np.geomspace(2, len(exact), 14).astype(int))
    for name, values, cost in (("exact sampling", exact, 1), ("Metropolis", metropolis, case.sites)):
        for n in steps:
            error = float(np.sqrt(((values[:n].mean(axis=0) - true) ** 2).mean()))
            record.measure("error", error, step=float(n * cost), group=f"{name}, {case.name}")
