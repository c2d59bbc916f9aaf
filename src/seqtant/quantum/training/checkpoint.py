"""Saves and loads trained states: weights and optimizer as safetensors, everything else as JSON, written atomically."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqtant.errors import InputError
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.symmetrized_state import SymmetrizedState
from seqtant.quantum.config import Boundary, LatticeSource, NetworkConfig, PhasesName, StateSource, SystemConfig
from seqtant.quantum.operators.lattices import Lattice
from seqtant.quantum.operators.pauli import PauliSum, String
from seqtant.quantum.training.systems import System, make_state, network_of
from seqtant.runs.files import whole_file, write_text
from seqtant.settings import build, plain
from seqtant.sources import is_path

WEIGHTS = "state.safetensors"
RECORD = "state.json"
OPERATORS = ("hamiltonian", "operators")
"""Settings that may hold an operator in memory."""
SHIPPED = Path(__file__).parents[1] / "example_state"
"""A small trained state that ships: the 4 x 4 Ising model at field 3."""


@dataclass(frozen=True)
class Record:
    """Everything about a state but its weights."""

    system: SystemConfig
    """Lattice and Hamiltonian it was trained for."""
    network: NetworkConfig
    steps_done: int
    seed: int
    config_hash: str
    """Hash of the run's settings; only the same run is resumed."""
    history: tuple[dict[str, float], ...] = ()
    """Energy, error, variance and times of every step."""


def save_state(
    folder: Path, state: AutoregressiveState, record: Record, optimizer: dict[str, Tensor] | None = None
) -> None:
    """Saves a state; the record comes last, so that a folder with a record is complete."""
    tensors = {f"state.{name}": p.detach().cpu().contiguous() for name, p in state.named_parameters()}
    tensors |= {f"optimizer.{name}": value.detach().cpu().contiguous() for name, value in (optimizer or {}).items()}
    with whole_file(folder / WEIGHTS) as path:
        save_file(tensors, path, metadata={"steps_done": str(record.steps_done)})
    data = {
        "format": 1,
        "system": plain(record.system),
        "network": plain(record.network),
        "steps_done": record.steps_done,
        "seed": record.seed,
        "config_hash": record.config_hash,
        "history": list(record.history),
    }
    for key in OPERATORS:
        # An operator that no name and no file makes is kept term by term.
        pauli = getattr(record.system, key)
        if isinstance(pauli, PauliSum):
            data[f"{key}_terms"] = {
                "sites": pauli.sites,
                "terms": [[complex(s.coefficient).real, s.axes, s.sites] for s in pauli.strings],
                "convention": pauli.convention,
                "rotated_sites": pauli.rotated_sites,
            }
    write_text(folder / RECORD, json.dumps(data, indent=1))


def read_record(folder: Path) -> Record:
    """Reads the record of a folder."""
    path = folder / RECORD
    if not path.is_file():
        raise InputError(f"'{folder}' holds no trained state ({RECORD} is missing): give the --out folder of a run")
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        system = dict(data["system"])
        for key in OPERATORS:
            if kept := data.get(f"{key}_terms"):
                strings = tuple(String(value, axes, tuple(sites)) for value, axes, sites in kept["terms"])
                system[key] = PauliSum(kept["sites"], strings, kept["convention"], tuple(kept["rotated_sites"]))
        return Record(
            system=build(SystemConfig, system, source=str(path)),
            network=build(NetworkConfig, data["network"], source=str(path)),
            steps_done=int(data["steps_done"]),
            seed=int(data["seed"]),
            config_hash=str(data["config_hash"]),
            history=tuple(data["history"]),
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(f"'{path}' is not the record of a state: {type(error).__name__} {error}") from error


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Reads the weights and the optimizer's tensors."""
    path = folder / WEIGHTS
    if not path.is_file():
        raise InputError(f"'{folder}' holds no weights ({WEIGHTS} is missing): give the --out folder of a run")
    try:
        # Version 0.1 wrote "optimiser".
        return {name.replace("optimiser.", "optimizer.", 1): tensor for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"'{path}' is corrupt: {error}: train the state again") from error


def load_weights(state: AutoregressiveState, source: Path | AutoregressiveState) -> None:
    """Loads the weights of a folder, or of a state in memory, into a state of the same network, on any lattice."""
    # Weights do not depend on the lattice: shapes tell whether the network is the same.
    if isinstance(source, Path):
        folder, tensors = source, read_tensors(source)
    else:
        folder = type(source).__name__
        tensors = {f"state.{name}": parameter.detach() for name, parameter in source.named_parameters()}
    for name, parameter in state.named_parameters():
        value = tensors.get(f"state.{name}")
        if value is None or value.shape != parameter.shape:
            raise InputError(f"'{folder}' holds another network: its '{name}' does not fit, use its own settings")
        if not torch.isfinite(value).all():
            raise InputError(f"'{folder}' holds weights that are not finite: train the state again")
        with torch.no_grad():
            parameter.copy_(value)


def load_state(
    source: StateSource,
    *,
    lattice: LatticeSource | None = None,
    boundary: Boundary | None = None,
    field: float | None = None,
    device: torch.device | None = None,
) -> tuple[System, AutoregressiveState, Record]:
    """Loads a trained state, on its own lattice or on another one.

    Args:
        source: Folder that a run wrote, an empty text for the state that ships, a ``VMC``, or ``(state, hamiltonian)``.
        lattice: Another lattice to use it on.
        boundary: Another boundary.
        field: Another field.
        device: Device of its weights; by default the CPU.

    Raises:
        InputError: There is no sound state in the folder, or it does not fit the lattice.
    """
    changes: dict[str, Any] = {"lattice": lattice, "boundary": boundary, "field": field}
    changes = {key: value for key, value in changes.items() if value is not None}
    if isinstance(lattice, Lattice):
        changes = {"boundary": lattice.boundary} | changes | {"lattice": str(lattice)}
    if is_path(source):
        weights = checkpoint_folder(source)
        record = read_record(weights)
    else:
        weights, record = unpack(source)
        if not changes:
            # A copy, so that the user's own stays on its device.
            state = copy.deepcopy(weights).to(device or torch.device("cpu"))
            return System.of(record.system), state, record
    if changes and not isinstance(record.system.hamiltonian, str):
        raise InputError("a Hamiltonian of Pauli strings belongs to its lattice: name one that can be made on another")
    system = System.of(replace(record.system, **changes))
    # Fresh weights are overwritten: the generator does not matter.
    state = make_state(system, network_for(record, system), torch.Generator().manual_seed(0))
    load_weights(state, weights)
    return system, state.to(device or torch.device("cpu")), record


def unpack(source: Any, *, alone: bool = False) -> tuple[AutoregressiveState, Record]:
    """Takes a trained state in memory apart: the plain wave function, and what a folder would say of it.

    If ``alone``, a wave function without a Hamiltonian will do; its record then has no system of its own.
    """
    if isinstance(source, tuple) and len(source) == 2:
        state, hamiltonian = source
    else:
        # A VMC has both; its symmetrized state says which phases it has.
        # A plain state has no such attribute and stands for itself, without a Hamiltonian.
        state, hamiltonian = getattr(source, "trained", source), getattr(source, "hamiltonian", None)
    phases: PhasesName = "auto"
    if isinstance(state, SymmetrizedState):
        state, phases = state.plain, state.phases
    if not isinstance(state, AutoregressiveState):
        raise InputError(f"{source!r:.60} is no trained state: give its folder, a VMC, or (state, hamiltonian)")
    system = SystemConfig()
    pauli = getattr(hamiltonian, "pauli", hamiltonian)
    if pauli is not None:
        if not isinstance(pauli, PauliSum) or pauli.sites != state.sites:
            raise InputError(f"{pauli!r:.60} is no Hamiltonian of {state.sites} spins: give (state, hamiltonian)")
        shape = pauli.lattice.shape if pauli.lattice is not None else getattr(state.network, "shape", None)
        if shape is None or shape != getattr(state.network, "shape", shape):
            raise InputError(f"the Hamiltonian stands on another lattice than the state: {shape}")
        rows, columns = shape
        kind = "chain" if rows == 1 else "square"
        system = SystemConfig(pauli, pauli.lattice or Lattice(kind, rows, columns, "open"))
    elif not alone:
        raise InputError("the state has no Hamiltonian: give (state, hamiltonian)")
    try:
        network = network_of(state, phases)
    except InputError:
        # A network of the user's own can be measured, but not made again on another lattice.
        network = NetworkConfig(phases=phases)
    done, history = getattr(source, "done", 0), tuple(getattr(source, "history", ()))
    return state, Record(system, network, done, getattr(source, "seed", 0), "", history)


def network_for(record: Record, system: System) -> NetworkConfig:
    """Gives a record's network for another lattice, of the same dimension."""
    name = record.network.name
    if (name == "chain") != (system.lattice.rows == 1) and name in {"chain", "two-stack", "paper", "single-stack"}:
        raise InputError(
            f"a '{name}' state of lattice {record.system.lattice} does not fit lattice {system.lattice}: "
            "transfer between lattices of the same dimension"
        )
    return record.network


def checkpoint_folder(text: str | Path) -> Path:
    """Gives the folder that a setting names; an empty text is the state that ships."""
    return Path(text) if str(text) else SHIPPED
