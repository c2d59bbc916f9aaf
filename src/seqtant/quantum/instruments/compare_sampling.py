"""Compares exact sampling with Metropolis: autocorrelation, and the error of an observable against its cost.

Metropolis chains of single flips are run here only to be compared with, on tables of all probabilities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import eigsh

from seqtant.errors import InputError
from seqtant.findings import Cell, Estimate, Result
from seqtant.progress import track
from seqtant.quantum.config import CompareSamplingConfig, SystemConfig
from seqtant.quantum.exact import diagonalize
from seqtant.quantum.observation import ENUMERATED, amplitudes
from seqtant.quantum.theory import relaxation_time
from seqtant.quantum.training.checkpoint import load_state
from seqtant.quantum.training.systems import System
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import is_path


@verb(CompareSamplingConfig)
def compare_sampling(config: CompareSamplingConfig, context: Context) -> Result:
    """Compares exact sampling with Metropolis: autocorrelation, and error of the magnetization against cost.

    The relaxation time of single-flip Metropolis is -1 / ln lambda_2 proposals, lambda_2 being the second eigenvalue of
    its transition matrix, so that no chain has to be trusted; chains of sweeps from all spins up are run beside it.

    Returns:
        For each case its ``relaxation_sweeps_``, ``autocorrelation_sweeps_`` and ``error_ratio_``; errors against
        evaluations of psi as measurements.

    Raises:
        InputError: The lattice is too large to know its probabilities.

    Example:
        >>> from seqtant.quantum import compare_sampling
        >>> result = compare_sampling(lattice="2x2", fields=(3.0,), samples=100, repeats=4)
        >>> round(result.values["relaxation_sweeps_field_3"], 3)
        0.775
    """
    # A trained state, or exact ground states of the Ising model at several fields.
    state = None
    if not is_path(config.checkpoint) or config.checkpoint:
        system, state, _ = load_state(config.checkpoint)
        systems = {f"state of {system.lattice}": system}
    else:
        of_field = {f"field {field:g}": SystemConfig(lattice=config.lattice, field=field) for field in config.fields}
        systems = {name: System.of(each) for name, each in of_field.items()}
    cases: list[tuple[str, NDArray[np.float64]]] = []
    for name, system in systems.items():
        if (spins := system.sites) > ENUMERATED:
            raise InputError(f"{spins} spins have too many configurations to compare exactly: at most {ENUMERATED}")
        vector = diagonalize(system.pauli).amplitudes if state is None else amplitudes(state)
        cases.append((name, np.maximum(np.abs(vector) ** 2, 1e-300)))
    title = "Exact sampling against Metropolis"
    with Recorder("quantum.compare-sampling", title, config, context, papers=(9,)) as record:
        rng = np.random.default_rng(context.seed)
        tracked = track(cases, context.progress, "comparing", len(cases))
        rows = [_compare(record, *case, config.samples, config.repeats, rng) for case in tracked]
        times = ("relaxation time (sweeps, exact)", "autocorrelation time (sweeps)")
        errors = ("error, exact sampling", "error, Metropolis", "Metropolis cost for equal error")
        record.table(
            "comparison",
            "Error of the magnetization by exact sampling and by Metropolis",
            ("case", *times, *errors),
            rows,
            note=f"{config.samples} samples, as many Metropolis sweeps; root mean square over {config.repeats} "
            "repeats; chains start with all spins up; cost in evaluations of psi per evaluation of exact sampling",
        )
    return record.result


def _compare(
    record: Recorder, name: str, probability: NDArray[np.float64], samples: int, repeats: int, rng: np.random.Generator
) -> tuple[Cell, ...]:
    """Samples one distribution both ways; records errors and correlation times, and gives the row of the table."""
    sites = len(probability).bit_length() - 1
    bits = np.bitwise_count(np.arange(2**sites, dtype=np.uint64)).astype(float)
    magnetization = 1 - 2 * bits / sites  # of every configuration
    true = float(probability @ magnetization)
    eigenvalue = second_eigenvalue(probability, sites)
    relaxation = relaxation_time(eigenvalue) / sites
    # Exact sampling inverts the cumulative distribution; shape (samples, repeats) as for the chains.
    cumulative = np.cumsum(probability / probability.sum())
    drawn = np.searchsorted(cumulative, rng.random((samples, repeats))).clip(max=2**sites - 1)
    walked = chains(probability, sites, samples, np.zeros(repeats, dtype=np.int64), rng)
    exact, metropolis = magnetization[drawn], magnetization[walked]
    tau = autocorrelation_time(metropolis)

    def error_of(values: NDArray[np.float64]) -> float:
        return float(np.sqrt(((values.mean(axis=0) - true) ** 2).mean()))

    errors = error_of(exact), error_of(metropolis)
    # A sweep is as many evaluations as there are spins; an exact sample costs about one.
    factor = sites * (errors[1] / errors[0]) ** 2
    key = name.replace(" ", "_").replace(".", "_")
    numbers = {"autocorrelation_sweeps": tau, "relaxation_sweeps": relaxation, "error_ratio": errors[1] / errors[0]}
    for what, number in numbers.items():
        record.value(f"{what}_{key}", number)
    steps = np.unique(np.geomspace(2, len(exact), 14).astype(int))
    for way, values, cost in (("exact sampling", exact, 1), ("Metropolis", metropolis, sites)):
        for n in steps:
            record.measure("error", error_of(values[:n]), step=float(n * cost), group=f"{way}, {name}")
    record.finding(
        f"autocorrelation_{key}",
        f"How correlated is Metropolis at {name}?",
        "agrees",
        f"relaxation takes {relaxation:.3g} sweeps (second eigenvalue {eigenvalue:.8f}); exact samples are independent",
        predicted=Estimate.exact(relaxation, unit="sweeps", method="eigenvalue of the transition matrix"),
        measured=Estimate(value=tau, unit="sweeps", method="initial positive sequence", n=walked.size),
        advice="sample exactly" if relaxation > 2 else "",
    )
    return name, relaxation, tau, errors[0], errors[1], factor


def chains(
    probability: NDArray[np.float64], sites: int, sweeps: int, starts: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Runs single-flip Metropolis chains on a table of probabilities: configurations after each sweep [sweeps, chains].

    A sweep is as many proposals as there are spins; ``starts`` are the first configurations, as integers.
    """
    now = starts.copy()
    kept = np.empty((sweeps, len(starts)), dtype=np.int64)
    for sweep in range(sweeps):
        flips = 1 << rng.integers(0, sites, size=(sites, len(starts)))
        uniforms = rng.random((sites, len(starts)))
        for proposal in range(sites):
            new = now ^ flips[proposal]
            # Accepted with probability min(1, p(new) / p(now)).
            now = np.where(uniforms[proposal] * probability[now] < probability[new], new, now)
        kept[sweep] = now
    return kept


def autocorrelation_time(series: NDArray[np.float64]) -> float:
    """Computes the integrated autocorrelation time of chains, in steps of the series; 0.5 for independent values.

    Sums the autocorrelation of a series (steps, chains), averaged over chains, up to the first non-positive pair
    (Geyer's initial sequence).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> autocorrelation_time(rng.normal(size=(4000, 4))) < 0.6
        True
    """
    centered = series - series.mean()
    steps = len(centered)
    # Autocovariance by Fourier transform, padded so that the chain does not wrap around.
    transform = np.fft.rfft(centered, 2 * steps, axis=0)
    covariance = np.fft.irfft(np.abs(transform) ** 2, axis=0)[:steps].mean(axis=1) / np.arange(steps, 0, -1)
    if covariance[0] <= 0:
        return 0.5 * steps  # a chain that never moved: one sample in all
    rho = covariance / covariance[0]
    # Sums of neighboring pairs are positive for a reversible chain; the first that is not is noise.
    total = 0.5
    for lag in range(1, steps - 1, 2):
        pair = rho[lag] + rho[lag + 1]
        if pair <= 0:
            break
        total += pair
    return float(max(0.5, total))


def second_eigenvalue(probability: NDArray[np.float64], sites: int) -> float:
    """Computes the second largest eigenvalue of the single-flip Metropolis matrix, by Lanczos on its symmetric form.

    Detailed balance makes sqrt(p) P / sqrt(p) symmetric: its off-diagonal elements are min(p, p') / (N sqrt(p p')).
    """
    states = np.arange(2**sites)
    columns, values = [], []
    stay = np.ones(2**sites)
    for site in range(sites):
        other = states ^ (1 << site)
        move = np.minimum(1.0, probability[other] / probability) / sites
        stay -= move  # what is left is the probability of staying
        columns.append(other)
        values.append(np.minimum(probability, probability[other]) / np.sqrt(probability * probability[other]) / sites)
    rows = np.tile(states, sites + 1)
    entries = (np.concatenate([*values, stay]), (rows, np.concatenate([*columns, states])))
    matrix = sparse.coo_array(entries, shape=(2**sites, 2**sites)).tocsr()
    start = np.random.default_rng(0).normal(size=2**sites)
    found = eigsh(matrix, k=2, which="LA", v0=start, return_eigenvectors=False)
    return float(np.sort(found)[0])
