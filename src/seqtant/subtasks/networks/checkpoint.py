"""A trained network as a folder: its weights, and a JSON record of its shape and of what it was trained on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from seqtant.errors import InputError
from seqtant.runs.files import make_folder, whole_file, write_text
from seqtant.settings import build
from seqtant.subtasks.config import NetworkConfig
from seqtant.subtasks.networks.networks import Network, NetworkLM, build_network
from seqtant.subtasks.tasks.arms import Arm
from seqtant.subtasks.tasks.task import Task, from_circuit, to_circuit

RECORD = "subtasks.json"
"""File that marks a folder as written by ``subtasks train``."""


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork:
    """A trained network and everything needed to run it."""

    network: Network
    config: NetworkConfig
    vocabulary: int
    context: int
    arm_name: str
    """Name of the arm it was trained on."""
    task: Task | None = None
    """The task; None for rows."""
    arm: Arm | None = None
    """The arm of the task; None for rows."""
    alphabet: str = ""
    """Characters of the rows; empty for a task."""
    longest: int = 0
    """Largest number of characters of a completion, for rows."""

    @property
    def model(self) -> NetworkLM:
        """The network behind the interface of language models."""
        return NetworkLM(self.network, self.vocabulary, self.context if self.config.positional else None)


def save_trained(trained: TrainedNetwork, folder: Path) -> list[Path]:
    """Saves a network as ``model.safetensors`` and ``subtasks.json``, and returns both paths."""
    make_folder(folder)
    weights = folder / "model.safetensors"
    # Atomic: an interrupted save leaves no half-written weights.
    with whole_file(weights) as temporary:
        save_file(
            {name: each.detach().cpu().contiguous() for name, each in trained.network.state_dict().items()}, temporary
        )
    record = {
        "network": asdict(trained.config),
        "vocabulary": trained.vocabulary,
        "context": trained.context,
        "arm": trained.arm_name,
        "task": to_circuit(trained.task) if trained.task else None,
        "facts": dict(trained.task.facts) if trained.task else {},
        "way": asdict(trained.arm) if trained.arm else None,
        "alphabet": trained.alphabet,
        "longest": trained.longest,
    }
    write_text(folder / RECORD, json.dumps(record, indent=1))
    return [weights, folder / RECORD]


def load_trained(folder: Path) -> TrainedNetwork:
    """Loads a network that :func:`save_trained` saved.

    Raises:
        InputError: A file is missing, broken, or of another network.
    """
    path = folder / RECORD
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config = build(NetworkConfig, data["network"], source=str(path))
        # The seed is of no account: all weights are replaced.
        network = build_network(config, vocabulary=data["vocabulary"], context=data["context"], seed=0)
        network.load_state_dict(load_file(folder / "model.safetensors"))
        return TrainedNetwork(
            network=network.eval(),
            config=config,
            vocabulary=data["vocabulary"],
            context=data["context"],
            arm_name=data["arm"],
            task=from_circuit(data["task"]) if data["task"] else None,
            arm=build(Arm, data["way"], source=RECORD) if data["way"] else None,
            alphabet=data["alphabet"],
            longest=data["longest"],
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"'{folder}' is no folder that 'subtasks train' wrote, or it is damaged: {reason}") from error
