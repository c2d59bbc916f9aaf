"""A trained network as a folder: its weights, and a record that says what it is and what it was trained on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from seqtant.data.tokens import CharacterTokens
from seqtant.errors import InputError
from seqtant.runs.files import make_folder, whole_file, write_text
from seqtant.settings import build
from seqtant.subtasks.config import NetworkConfig
from seqtant.subtasks.networks.networks import NetworkLM, build_network
from seqtant.subtasks.tasks.arms import Arm
from seqtant.subtasks.tasks.circuits import from_circuit, plain_circuit
from seqtant.subtasks.tasks.task import Task

RECORD = "subtasks.json"


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained network and what it needs to be run."""

    network: nn.Module
    config: NetworkConfig
    vocabulary: int
    context: int
    arm: str
    """Name of the arm it was trained on."""
    task: Task | None = None
    """The task; None for rows."""
    way: Arm | None = None
    """How solutions of the task are written; None for rows."""
    alphabet: str = ""
    """Characters of the rows; empty for a task."""
    longest: int = 0
    """Most characters of a completion, for rows."""

    @property
    def model(self) -> NetworkLM:
        """The network behind the interface of language models."""
        return NetworkLM(self.network, self.vocabulary, self.context if self.config.positional else None)

    @property
    def tokens(self) -> CharacterTokens:
        """How rows become numbers."""
        return CharacterTokens([self.alphabet])


def save_trained(trained: Trained, folder: Path) -> list[Path]:
    """Writes ``model.safetensors`` and ``subtasks.json``.

    Returns:
        The files.
    """
    make_folder(folder)
    weights = folder / "model.safetensors"
    with whole_file(weights) as temporary:
        save_file(
            {name: each.detach().cpu().contiguous() for name, each in trained.network.state_dict().items()}, temporary
        )
    record = {
        "network": asdict(trained.config),
        "vocabulary": trained.vocabulary,
        "context": trained.context,
        "arm": trained.arm,
        "task": plain_circuit(trained.task) if trained.task else None,
        "facts": dict(trained.task.facts) if trained.task else {},
        "way": asdict(trained.way) if trained.way else None,
        "alphabet": trained.alphabet,
        "longest": trained.longest,
    }
    write_text(folder / RECORD, json.dumps(record, indent=1))
    return [weights, folder / RECORD]


def load_trained(folder: Path) -> Trained:
    """Reads what :func:`save_trained` wrote.

    Raises:
        InputError: A file is missing, broken, or of another network.
    """
    path = folder / RECORD
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        config = build(NetworkConfig, data["network"], source=str(path))
        network = build_network(config, vocabulary=data["vocabulary"], context=data["context"], seed=0)
        network.load_state_dict(load_file(folder / "model.safetensors"))
        task = from_circuit(data["task"]) if data["task"] else None
        way = _way(data["way"]) if data["way"] else None
        return Trained(
            network=network.eval(),
            config=config,
            vocabulary=data["vocabulary"],
            context=data["context"],
            arm=data["arm"],
            task=task,
            way=way,
            alphabet=data["alphabet"],
            longest=data["longest"],
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"'{folder}' is no folder that 'subtasks train' wrote, or it is damaged: {reason}") from error


def is_trained(folder: str) -> bool:
    """Whether a folder was written by ``subtasks train``."""
    return (Path(folder) / RECORD).is_file()


def _way(data: dict[str, Any]) -> Arm:
    return build(Arm, data, source=RECORD)
