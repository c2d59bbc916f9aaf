"""Times one optimization step, part by part, on growing lattices, beside the operations that it counts."""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median

import numpy as np

from seqtant.findings import Cell, Estimate, Result
from seqtant.models.wavefunctions.causal_state import CausalState, multiplications_per_site
from seqtant.models.wavefunctions.propagation import Plan, group_moves
from seqtant.progress import track
from seqtant.quantum.config import BenchmarkConfig, OptimizerConfig, SystemConfig
from seqtant.quantum.operators.local_energy import Hamiltonian
from seqtant.quantum.training.distributed import Processes
from seqtant.quantum.training.ground_states import resolved
from seqtant.quantum.training.rng import generator_for
from seqtant.quantum.training.systems import System, make_state
from seqtant.quantum.training.vmc import Training
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

PARTS = ("sampling", "local_energies", "update")


def run(config: BenchmarkConfig, context: Context) -> Result:
    """Times steps on square lattices of several sizes.

    Raises:
        InputError: The system does not fit.
    """
    title = f"Cost of one step of {config.hamiltonian} against the number of spins"
    with Recorder("quantum.benchmark", title, config, context, papers=(9,)) as record:
        rows: list[tuple[Cell, ...]] = []
        spins: list[int] = []
        seconds: list[float] = []
        counted: list[float] = []
        for side in track(config.sizes, context.progress, "sizes", len(config.sizes)):
            times, step, operations, full = _time(config, side, context)
            for part, value in times.items():
                record.measure(f"seconds_{part}", value, unit="s", step=side * side)
            record.measure("seconds_step", step, unit="s", step=side * side)
            record.measure("operations", operations, step=side * side)
            spins.append(side * side)
            seconds.append(step)
            counted.append(operations)
            rows.append((side * side, *times.values(), seconds[-1], operations, full / operations))
        _report(record, rows, spins, seconds, counted)
    return record.result


def _time(config: BenchmarkConfig, side: int, context: Context) -> tuple[dict[str, float], float, float, float]:
    """Median seconds per part and per step, multiplications per sample, and those of running the network again.

    On a processor, the step is timed in processor seconds, which a busy machine does not stretch, and the parts, timed
    by the clock, are scaled to them.
    """
    names = [name for name in SystemConfig.__dataclass_fields__ if name != "lattice"]
    values = {name: getattr(config, name) for name in names}
    system = System.of(SystemConfig(lattice=f"{side}x{side}", **values))
    network = replace(resolved(config.network, system), depth=config.network.depth or 3)
    processes = Processes(context.device)
    state = make_state(system, network, generator_for(context.seed, side)).to(processes.device(context.device))
    training = Training(
        state,
        Hamiltonian(system.pauli),
        OptimizerConfig(),
        steps=config.repeats + 1,
        samples=config.samples,
        seed=context.seed,
        processes=processes,
    )
    training.step()  # the first step makes the plans of what each flip touches
    steps, spent = [], []
    for _ in range(config.repeats):
        start = time.process_time()
        steps.append(training.step())
        spent.append(time.process_time() - start)
    times = {part: median(step.seconds[n] for step in steps) for n, part in enumerate(PARTS)}
    wall = sum(times.values())
    total = median(spent) if next(state.parameters()).device.type == "cpu" else wall
    return {part: value * total / wall for part, value in times.items()}, total, *count(state, training.hamiltonian)


def count(state: object, hamiltonian: Hamiltonian) -> tuple[float, float]:
    """Multiplications of one step per sample: by change propagation, and by full evaluation of every configuration.

    Four passes stand for sampling and derivatives: one to draw, one forward, two backward.
    """
    if not isinstance(state, CausalState):
        raise TypeError("operations are counted on causal networks")
    network = state.network
    one = multiplications_per_site(network) * network.sites
    groups = group_moves(hamiltonian.moves, network.shape[1])
    touched = sum(Plan.make(network.graph, network.shape, group).multiplications for group in groups)
    return float(4 * one + touched), float(4 * one + one * len(hamiltonian.moves))


def _report(
    record: Recorder, rows: list[tuple[Cell, ...]], spins: list[int], seconds: list[float], counted: list[float]
) -> None:
    slope, error = _slope(spins, seconds)
    predicted, _ = _slope(spins, counted)
    record.value("slope_of_seconds", slope)
    record.value("slope_counted", predicted)
    record.value("seconds_per_step_largest", seconds[-1])
    record.finding(
        "slope",
        "How does the cost of a step grow with the number of spins?",
        "agrees" if abs(slope - predicted) < 0.35 else "disagrees",
        f"seconds grow like N^{slope:.2f}, counted operations like N^{predicted:.2f}",
        predicted=Estimate.exact(predicted, method="counted operations"),
        measured=Estimate(
            value=slope, low=slope - 1.96 * error, high=slope + 1.96 * error, method="least squares", n=len(spins)
        ),
        advice="small lattices are dominated by the cost of calls, not of operations"
        if slope < predicted - 0.35
        else "",
    )
    columns = ("spins", "sampling (s)", "local energies (s)", "update (s)", "step (s)", "multiplications per sample")
    record.table("cost", "Cost of one step", (*columns, "full evaluation costs times more"), rows)


def _slope(x: list[int], y: list[float]) -> tuple[float, float]:
    """Slope of log y against log x with its standard error."""
    u, v = np.log(np.array(x, dtype=float)), np.log(np.array(y))
    design = np.stack([u, np.ones_like(u)], axis=1)
    solution, *_ = np.linalg.lstsq(design, v, rcond=None)
    residual = v - design @ solution
    freedom = max(1, len(u) - 2)
    error = np.sqrt((residual @ residual) / freedom / ((u - u.mean()) ** 2).sum())
    return float(solution[0]), float(error)
