"""Checkpoints that are whole or not there, hold everything a run needs to go on to the bit, and are never pickles.

A checkpoint is a folder ``step-00000100`` with ``weights.safetensors``, ``optimizer.safetensors``,
``random-<process>.safetensors`` and ``state.json``; it is written under a temporary name and renamed when complete.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_state_dict,
    set_model_state_dict,
    set_state_dict,
)

from seqtant.errors import TrainingError
from seqtant.settings import plain
from seqtant.training.config import EXECUTION_ONLY, TrainingConfig
from seqtant.training.session import Session

FORMAT = 1
_Moments = dict[str, dict[str, torch.Tensor]]
_FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)


def checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    return sorted(path for path in folder.glob("step-*") if path.is_dir() and path.suffix != ".partial")


def save(folder: Path, session: Session, config: TrainingConfig, history: TrainingHistory, data: str) -> Path:
    """Writes a checkpoint and removes all but the newest ``config.keep``; every process must call it.

    The length of the history is the position in the data; ``config`` and the data's fingerprint are kept for comparison
    on resuming.
    """
    accelerator = session.accelerator
    final = folder / f"step-{history.steps:08d}"
    partial = final.with_suffix(".partial")
    # Collective: with sharded weights every process must take part, although only the main one writes.
    weights, optimizer = get_state_dict(session.model, session.bare_optimizer, options=_FULL)
    if accelerator.is_main_process:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    accelerator.wait_for_everyone()
    random = {"cpu": torch.get_rng_state()}
    if accelerator.device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(accelerator.device)
    save_file(random, partial / _random_name(session))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        # Tied weights once, since safetensors holds no shared memory, and which names stand for which.
        kept: dict[str, torch.Tensor] = {}
        aliases: dict[str, str] = {}
        first: dict[tuple[int, torch.Size], str] = {}
        for name, tensor in cast("dict[str, torch.Tensor]", weights).items():
            place = (tensor.data_ptr(), tensor.shape)
            if tensor.numel() and place in first:
                aliases[name] = first[place]
            else:
                first[place] = name
                kept[name] = tensor.contiguous()
        save_file(kept, partial / "weights.safetensors")
        moments = cast(_Moments, optimizer["state"])
        flat = {f"{name}/{key}": tensor.contiguous() for name, own in moments.items() for key, tensor in own.items()}
        save_file(flat, partial / "optimizer.safetensors")
        state = {
            "format": FORMAT,
            "step": history.steps,
            "config": plain(config),
            "data": data,
            "aliases": aliases,
            "shapes": session.shapes,
            "param_groups": optimizer["param_groups"],
            "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else {},
            "history": history.plain(),
            "sha256": {path.name: _digest(path) for path in sorted(partial.iterdir())},
        }
        (partial / "state.json").write_text(json.dumps(state), encoding="utf-8")
        # The rename is atomic: a folder of this name is complete, whenever the process is killed.
        partial.rename(final)
        for old in [*checkpoints(folder)[: -config.keep], *folder.glob("step-*.partial")]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()
    return final


def restore(path: Path, session: Session, config: TrainingConfig, data: str) -> TrainingHistory:
    """Puts a checkpoint's weights, optimizer, random state and history back; every process must call it.

    Raises:
        TrainingError: The checkpoint is damaged, or belongs to another configuration, model or data.
    """
    state, weights, moments = _read(path)
    now = plain(config)
    for name, then in state["config"].items():
        if name not in EXECUTION_ONLY and then != now.get(name):
            raise TrainingError(
                f"checkpoint '{path}' was made with {name} {then}, this run has {now.get(name)}: "
                "use the same configuration or another folder"
            )
    if state["data"] != data:
        raise TrainingError(f"checkpoint '{path}' was made on other data or another seed: use another folder")
    shapes, here = state["shapes"], session.shapes
    for name in sorted(shapes.keys() | here.keys()):
        if shapes.get(name) != here.get(name):
            raise TrainingError(
                f"checkpoint '{path}' was made by another model: '{name}' is {shapes.get(name, 'absent')} there "
                f"and {here.get(name, 'absent')} here; use another folder"
            )
    weights |= {alias: weights[name] for alias, name in state["aliases"].items()}
    nested: _Moments = {}
    for place, tensor in moments.items():
        name, _, key = place.rpartition("/")
        nested.setdefault(name, {})[key] = tensor
    if nested:
        set_state_dict(
            session.model,
            session.bare_optimizer,
            model_state_dict=cast(Any, weights),
            optim_state_dict=cast(Any, {"state": nested, "param_groups": state["param_groups"]}),
            options=_FULL,
        )
    else:  # plain descent remembers nothing, and torch refuses an empty state
        set_model_state_dict(session.model, cast(Any, weights), options=_FULL)
    if state["scaler"] and session.accelerator.scaler is not None:
        session.accelerator.scaler.load_state_dict(state["scaler"])
    device, random = session.accelerator.device, path / _random_name(session)
    if random.is_file():  # else the run goes on with more processes than wrote the checkpoint: this one keeps its own
        states = load_file(random)
        torch.set_rng_state(states["cpu"])
        if "cuda" in states and device.type == "cuda":
            torch.cuda.set_rng_state(states["cuda"], device)
    return TrainingHistory.read(state["history"])


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint as a state dict, tied ones under all their names.

    Raises:
        TrainingError: The checkpoint is damaged.
    """
    state, weights, _ = _read(path)
    return weights | {alias: weights[name] for alias, name in state["aliases"].items()}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    damaged = f"checkpoint '{path}' is damaged: %s; delete the folder to go on from the one before, or from the start"
    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        if state["format"] != FORMAT:
            raise TrainingError(f"checkpoint '{path}' has format {state['format']}, this version reads {FORMAT}")
        for name, digest in state["sha256"].items():
            if _digest(path / name) != digest:
                raise TrainingError(damaged % f"{name} is not what was written")
        return state, load_file(path / "weights.safetensors"), load_file(path / "optimizer.safetensors")
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise TrainingError(damaged % (str(error).splitlines() or [type(error).__name__])[0]) from error


def _random_name(session: Session) -> str:
    return f"random-{session.accelerator.process_index}.safetensors"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(kw_only=True)
class TrainingHistory:
    """The course of one run; a resumed run has the history of an uninterrupted one.

    Example:
        >>> history = TrainingHistory(losses=[2.0, 1.0], evaluations={2: {"loss": 1.5}})
        >>> history.steps, history.evaluated("loss")
        (2, 1.5)
    """

    losses: list[float] = field(default_factory=list)
    """Mean training loss of each step, before its update."""
    gradient_norms: list[float] = field(default_factory=list)
    """Norm of the whole gradient of each step, before clipping."""
    tokens: int = 0
    """Counted positions seen so far (for language models: labels learned from)."""
    evaluations: dict[int, dict[str, float]] = field(default_factory=dict)
    """What the evaluation returned, by number of steps taken."""
    resumed_from: int = 0
    """Steps already taken when this process took over; 0 for a run from the start."""

    @property
    def steps(self) -> int:
        """Steps taken."""
        return len(self.losses)

    def evaluated(self, name: str) -> float:
        """The newest evaluation of one quantity."""
        return self.evaluations[max(self.evaluations)][name]

    def plain(self) -> dict[str, object]:
        """As JSON data; ``resumed_from`` is left out since it belongs to a process, not to the run."""
        return {
            "losses": self.losses,
            "gradient_norms": self.gradient_norms,
            "tokens": self.tokens,
            "evaluations": {str(step): numbers for step, numbers in self.evaluations.items()},
        }

    @classmethod
    def read(cls, data: dict[str, object]) -> TrainingHistory:
        """The inverse of :meth:`plain`."""
        history = cls(**data)  # type: ignore[arg-type]
        history.evaluations = {int(step): numbers for step, numbers in history.evaluations.items()}
        history.resumed_from = history.steps
        return history
