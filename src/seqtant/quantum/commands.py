"""The commands of the quantum room: flags in, instrument called, result delivered."""

from __future__ import annotations

from typing import Literal

from cyclopts import App

from seqtant.commandline.execute import execute
from seqtant.commandline.options import DEFAULT, Options, Whole, WholeOrAll
from seqtant.quantum.config import (
    BenchmarkConfig,
    Boundary,
    CompareSamplingConfig,
    ExactConfig,
    GroundStateConfig,
    ImportFlowketConfig,
    ObserveConfig,
    SampleConfig,
    TransferConfig,
)

app = App(name="quantum", help="What is the ground state of this spin lattice?")


@app.command(name="ground-state")
def ground_state(
    *,
    hamiltonian: str | None = None,
    lattice: str | None = None,
    boundary: Boundary | None = None,
    field: float | None = None,
    second_coupling: float | None = None,
    operators: str | None = None,
    steps: Whole | None = None,
    samples: WholeOrAll | None = None,
    transfer_from: str | None = None,
    options: Options = DEFAULT,
) -> None:
    """Train a wave function to the ground state by exact sampling; hold its energy against what is known.

    With --out the run writes checkpoints, and the same command goes on where it was interrupted.

    Args:
        hamiltonian: tfim, heisenberg, xxz, j1j2.
        lattice: 20 (chain), 4x4, 4x6, triangular:4x4.
        boundary: open or periodic.
        field: Transverse field of the Ising model.
        second_coupling: J2 between second neighbors.
        operators: JSON file with Pauli strings instead of a named Hamiltonian.
        steps: Optimization steps.
        samples: Configurations drawn per step; all sums over every one, up to 16 spins.
        transfer_from: Folder of a trained state to start from.
        options: Shared flags.
    """
    execute(
        GroundStateConfig,
        options,
        hamiltonian=hamiltonian,
        lattice=lattice,
        boundary=boundary,
        field=field,
        second_coupling=second_coupling,
        operators=operators,
        steps=steps,
        samples=samples,
        transfer_from=transfer_from,
    )


@app.command
def exact(
    *,
    hamiltonian: str | None = None,
    lattice: str | None = None,
    boundary: Boundary | None = None,
    field: float | None = None,
    anisotropy: float | None = None,
    second_coupling: float | None = None,
    operators: str | None = None,
    options: Options = DEFAULT,
) -> None:
    """Find the exact ground-state energy: closed form, diagonalization up to 20 spins, or a published table.

    Args:
        hamiltonian: tfim, heisenberg, xxz, j1j2.
        lattice: 20 (chain), 4x4, 4x6, triangular:4x4.
        boundary: open or periodic.
        field: Transverse field of the Ising model.
        anisotropy: Delta of the XXZ model.
        second_coupling: J2 between second neighbors.
        operators: JSON file with Pauli strings instead of a named Hamiltonian.
        options: Shared flags.
    """
    execute(
        ExactConfig,
        options,
        hamiltonian=hamiltonian,
        lattice=lattice,
        boundary=boundary,
        field=field,
        anisotropy=anisotropy,
        second_coupling=second_coupling,
        operators=operators,
    )


@app.command
def observe(
    checkpoint: str | None = None,
    /,
    *,
    samples: Whole | None = None,
    precision: float | None = None,
    symmetrize: bool | None = None,
    options: Options = DEFAULT,
) -> None:
    """Measure energy, magnetizations, correlations and entanglement of a trained state, each with its error.

    Args:
        checkpoint: Folder of a trained state; without one, the small state that ships.
        samples: Configurations to draw.
        precision: Standard error of the energy per site to reach.
        symmetrize: Average over the lattice's symmetries.
        options: Shared flags.
    """
    execute(
        ObserveConfig,
        options,
        checkpoint=checkpoint,
        samples=samples,
        precision=precision,
        symmetrize=symmetrize,
    )


@app.command
def sample(
    checkpoint: str | None = None,
    /,
    *,
    samples: Whole | None = None,
    file: str | None = None,
    unique: bool | None = None,
    options: Options = DEFAULT,
) -> None:
    """Draw exact, independent configurations with their log-probabilities.

    Args:
        checkpoint: Folder of a trained state; without one, the small state that ships.
        samples: Configurations to draw.
        file: Where to write them (.safetensors).
        unique: Distinct configurations with counts.
        options: Shared flags.
    """
    execute(SampleConfig, options, checkpoint=checkpoint, samples=samples, file=file, unique=unique)


@app.command
def transfer(
    checkpoint: str | None = None,
    /,
    *,
    lattice: str | None = None,
    boundary: Boundary | None = None,
    field: float | None = None,
    steps: Whole | None = None,
    samples: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Carry a trained state to another lattice or field and train on.

    Args:
        checkpoint: Folder of a trained state; without one, the small state that ships.
        lattice: The new lattice.
        boundary: The new boundary.
        field: The new field.
        steps: Optimization steps.
        samples: Configurations drawn per step.
        options: Shared flags.
    """
    execute(
        TransferConfig,
        options,
        checkpoint=checkpoint,
        lattice=lattice,
        boundary=boundary,
        field=field,
        steps=steps,
        samples=samples,
    )


@app.command(name="compare-sampling")
def compare_sampling(
    checkpoint: str | None = None,
    /,
    *,
    lattice: str | None = None,
    samples: Whole | None = None,
    repeats: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Compare exact sampling with Metropolis: autocorrelation, and error of the magnetization against cost.

    Args:
        checkpoint: Folder of a trained state; without one, exact ground states of the Ising model.
        lattice: Lattice of those ground states, at most 16 spins.
        samples: Exact samples, and Metropolis sweeps.
        repeats: Repetitions of each estimate.
        options: Shared flags.
    """
    execute(CompareSamplingConfig, options, checkpoint=checkpoint, lattice=lattice, samples=samples, repeats=repeats)


@app.command(name="import-flowket")
def import_flowket(
    weights: str | None = None,
    /,
    *,
    lattice: str | None = None,
    hamiltonian: Literal["tfim", "heisenberg"] | None = None,
    field: float | None = None,
    boundary: Boundary | None = None,
    options: Options = DEFAULT,
) -> None:
    """Read weights of the official network (HDF5) into a checkpoint, and measure their energy.

    Args:
        weights: HDF5 file; without one, the reader is checked on a small random network.
        lattice: Lattice of the state.
        hamiltonian: Hamiltonian it was trained for.
        field: Transverse field it was trained for.
        boundary: Boundary it was trained for.
        options: Shared flags.
    """
    execute(
        ImportFlowketConfig,
        options,
        weights=weights,
        lattice=lattice,
        hamiltonian=hamiltonian,
        field=field,
        boundary=boundary,
    )


@app.command
def benchmark(
    *,
    hamiltonian: str | None = None,
    boundary: Boundary | None = None,
    samples: Whole | None = None,
    repeats: Whole | None = None,
    options: Options = DEFAULT,
) -> None:
    """Time one optimization step on square lattices from 4x4 to 20x20, beside the operations it counts.

    Args:
        hamiltonian: tfim, heisenberg, xxz, j1j2.
        boundary: open or periodic.
        samples: Configurations per step.
        repeats: Timed steps per lattice.
        options: Shared flags.
    """
    execute(BenchmarkConfig, options, hamiltonian=hamiltonian, boundary=boundary, samples=samples, repeats=repeats)
