"""Times one optimization step, part by part, on growing lattices, and compares it with the operations it counts."""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median

import numpy as np

from seqtant.findings import Cell, Estimate, Result
from seqtant.models.wavefunctions.causal_state import CausalState, multiplications_per_site
from seqtant.models.wavefunctions.propagation import Plan, group_moves
from seqtant.progress import track
from seqtant.quantum.config import BenchmarkConfig, SystemConfig
from seqtant.quantum.observation import Hamiltonian
from seqtant.quantum.training.distributed import DistributedContext, generator_for
from seqtant.quantum.training.systems import System, make_state, resolve_network
from seqtant.quantum.training.vmc import PARTS, VMC
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb


@verb(BenchmarkConfig)
def benchmark(config: BenchmarkConfig, context: Context) -> Result:
    """Times one optimization step on square lattices, part by part, beside the operations it counts.

    Seconds and counted multiplications are fitted by powers N^slope of the number of spins.

    Returns:
        ``slope_of_seconds``, ``slope_counted``, ``seconds_per_step_largest``; times by lattice as a table.

    Raises:
        InputError: The system does not fit, or its Hamiltonian is no name.

    Example:
        >>> from seqtant.quantum import NetworkConfig, benchmark
        >>> small = NetworkConfig(depth=2, width=4)
        >>> result = benchmark(sizes=(2, 3), samples=8, repeats=1, network=small)
        >>> 1 < result.values["slope_counted"] < 2.2
        True
    """
    title = f"Cost of one step of {config.hamiltonian} against the number of spins"
    with Recorder("quantum.benchmark", title, config, context, papers=(9,)) as record:
        processes = DistributedContext(context.device)
        device = processes.device(context.device)
        rows: list[tuple[Cell, ...]] = []
        totals: list[tuple[float, float, float]] = []
        for side in track(config.sizes, context.progress, "sizes", len(config.sizes)):
            names = [name for name in SystemConfig.__dataclass_fields__ if name != "lattice"]
            fixed = {name: getattr(config, name) for name in names}
            system = System.of(SystemConfig(lattice=f"{side}x{side}", **fixed))
            # The same depth on every lattice, so that only the number of spins grows.
            network = replace(resolve_network(config.network, system), depth=config.network.depth or 3)
            state = make_state(system, network, generator_for(context.seed, side)).to(device)
            steps, seed = config.repeats + 1, context.seed
            training = VMC(state, system.pauli, steps=steps, samples=config.samples, seed=seed, processes=processes)
            training.step()  # the first step makes the plans of what each flip touches
            taken, spent = [], []
            for _ in range(config.repeats):
                start = time.process_time()
                taken.append(training.step())
                spent.append(time.process_time() - start)
            times = {part: median(each[part] for each in taken) for part in PARTS}
            # On a processor, the step is timed in processor seconds, which a busy machine does not stretch, and the
            # parts, timed by the clock, are scaled to them.
            wall = sum(times.values())
            step = median(spent) if next(training.state.parameters()).device.type == "cpu" else wall
            times = {part: value * step / wall for part, value in times.items()}
            operations, full = count(training.state, training.hamiltonian)
            for part, value in times.items():
                record.measure(part, value, unit="s", step=side * side)
            record.measure("seconds_step", step, unit="s", step=side * side)
            record.measure("operations", operations, step=side * side)
            totals.append((side * side, step, operations))
            rows.append((side * side, *times.values(), step, operations, full / operations))
        spins, seconds, counted = np.array(totals).T
        (slope, error), (predicted, _) = _slope(spins, seconds), _slope(spins, counted)
        record.value("slope_of_seconds", slope)
        record.value("slope_counted", predicted)
        record.value("seconds_per_step_largest", seconds[-1])
        low, high = slope - 1.96 * error, slope + 1.96 * error
        record.finding(
            "slope",
            "How does the cost of a step grow with the number of spins?",
            "agrees" if abs(slope - predicted) < 0.35 else "disagrees",
            f"seconds grow like N^{slope:.2f}, counted operations like N^{predicted:.2f}",
            predicted=Estimate.exact(predicted, method="counted operations"),
            measured=Estimate(value=slope, low=low, high=high, method="least squares", n=len(spins)),
            advice="small lattices are dominated by the cost of calls, not of operations"
            if slope < predicted - 0.35
            else "",
        )
        columns = ("spins", "sampling (s)", "local energies (s)", "update (s)", "step (s)")
        counts = ("multiplications per sample", "full evaluation costs times more")
        record.table("cost", "Cost of one step", (*columns, *counts), rows)
    return record.result


def count(state: object, hamiltonian: Hamiltonian) -> tuple[float, float]:
    """Counts multiplications of a step per sample: by change propagation, and by evaluating every configuration.

    Four passes stand for sampling and derivatives: one to draw, one forward, two backward.
    """
    if not isinstance(state, CausalState):
        raise TypeError("operations are counted on causal networks")
    network = state.network
    one = multiplications_per_site(network) * network.sites
    groups = group_moves(hamiltonian.moves, network.shape[1])
    touched = sum(Plan.make(network.graph, network.shape, group).multiplications for group in groups)
    return float(4 * one + touched), float(4 * one + one * len(hamiltonian.moves))


def _slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Fits the slope of log y against log x; gives it with its standard error."""
    u, v = np.log(x), np.log(y)
    design = np.stack([u, np.ones_like(u)], axis=1)
    solution, *_ = np.linalg.lstsq(design, v, rcond=None)
    residual = v - design @ solution
    freedom = max(1, len(u) - 2)
    error = np.sqrt((residual @ residual) / freedom / ((u - u.mean()) ** 2).sum())
    return float(solution[0]), float(error)
