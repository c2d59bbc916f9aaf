"""Saves and loads trained states: weights and optimizer as safetensors, everything else as JSON, written atomically."""

from __future__ import annotations

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
from seqtant.quantum.config import Boundary, NetworkConfig, SystemConfig
from seqtant.quantum.training.systems import System, make_state
from seqtant.runs.files import whole_file, write_text
from seqtant.settings import build, plain

WEIGHTS = "state.safetensors"
RECORD = "state.json"
SHIPPED = Path(__file__).parents[1] / "example_state"
"""A small trained state that ships: the 4 x 4 Ising model at field 3."""


@dataclass(frozen=True)
class Record:
    """Everything about a state but its weights."""

    system: SystemConfig
    """Lattice and Hamiltonian it was trained for."""
    network: NetworkConfig
    """Its network."""
    steps_done: int
    """Optimization steps so far."""
    seed: int
    """Seed of the run."""
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
    write_text(folder / RECORD, json.dumps(data, indent=1))


def read_record(folder: Path) -> Record:
    """Reads the record of a folder.

    Raises:
        InputError: The folder holds no state, or its record is broken.
    """
    path = folder / RECORD
    if not path.is_file():
        raise InputError(f"'{folder}' holds no trained state ({RECORD} is missing): give the --out folder of a run")
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Record(
            system=build(SystemConfig, data["system"], source=str(path)),
            network=build(NetworkConfig, data["network"], source=str(path)),
            steps_done=int(data["steps_done"]),
            seed=int(data["seed"]),
            config_hash=str(data["config_hash"]),
            history=tuple(data["history"]),
        )
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(f"'{path}' is not the record of a state: {type(error).__name__} {error}") from error


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Reads the weights and the optimizer's tensors.

    Raises:
        InputError: The file is missing or corrupt.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise InputError(f"'{folder}' holds no weights ({WEIGHTS} is missing): give the --out folder of a run")
    try:
        # Version 0.1 wrote "optimiser".
        return {name.replace("optimiser.", "optimizer.", 1): tensor for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"'{path}' is corrupt: {error}: train the state again") from error


def load_weights(state: AutoregressiveState, folder: Path) -> None:
    """Loads a folder's weights into a state of the same network, on any lattice.

    Raises:
        InputError: The weights belong to another network, or are not finite.
    """
    # Weights do not depend on the lattice: shapes tell whether the network is the same.
    tensors = read_tensors(folder)
    for name, parameter in state.named_parameters():
        value = tensors.get(f"state.{name}")
        if value is None or value.shape != parameter.shape:
            raise InputError(f"'{folder}' holds another network: its '{name}' does not fit, use its own settings")
        if not torch.isfinite(value).all():
            raise InputError(f"'{folder}' holds weights that are not finite: train the state again")
        with torch.no_grad():
            parameter.copy_(value)


def load_state(
    folder: str | Path,
    *,
    lattice: str | None = None,
    boundary: Boundary | None = None,
    field: float | None = None,
    device: torch.device | None = None,
) -> tuple[System, AutoregressiveState, Record]:
    """Loads a trained state, on its own lattice or on another one.

    Args:
        folder: Folder that a run wrote; an empty text takes the state that ships.
        lattice: Another lattice to use it on.
        boundary: Another boundary.
        field: Another field.
        device: Device of its weights; by default the CPU.

    Raises:
        InputError: There is no sound state in the folder, or it does not fit the lattice.
    """
    folder = checkpoint_folder(folder)
    record = read_record(folder)
    changes = {"lattice": lattice, "boundary": boundary, "field": field}
    config = replace(record.system, **{key: value for key, value in changes.items() if value is not None})
    system = System.of(config)
    # Fresh weights are overwritten: the generator does not matter.
    state = make_state(system, network_for(record, system), torch.Generator().manual_seed(0))
    load_weights(state, folder)
    return system, state.to(device or torch.device("cpu")), record


def network_for(record: Record, system: System) -> NetworkConfig:
    """Gives a record's network for another lattice, of the same dimension.

    Raises:
        InputError: It was made for chains and the lattice is none, or the other way round.
    """
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
