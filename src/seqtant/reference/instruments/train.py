"""Trains the reference model, measures it against its world, and writes weights, tokenizer and manifest."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Result
from seqtant.reference.config import TrainConfig
from seqtant.reference.instruments import check
from seqtant.reference.manifest import MANIFEST, check_record, file_hashes
from seqtant.reference.recipe import data_hash, fit, save_model, training_batches
from seqtant.reference.world.world import World, WorldSettings
from seqtant.runs.context import Context
from seqtant.runs.environment import environment
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Recorder
from seqtant.settings import plain
from seqtant.training import TrainingHistory

_SMOOTHED = 50


def run(config: TrainConfig, context: Context) -> Result:
    """Trains and checks; weights land in ``weights`` in the run's folder.

    Raises:
        InputError: The run has no folder.
    """
    if context.folder is None:
        raise InputError("training writes weights: say where with --out DIR")
    folder = context.folder / "weights"
    with Recorder("reference.train", "The reference model, trained from nothing", config, context) as record:
        clocks = time.perf_counter(), time.process_time()
        network, history = fit(config, context)
        seconds = time.perf_counter() - clocks[0], time.process_time() - clocks[1]
        folder.mkdir(parents=True, exist_ok=True)
        save_model(network, folder)
        measured = check.run(replace(config.check, model=str(folder)), context)
        record.part(measured)
        about = _about(config, context, network.num_parameters(), history, seconds)
        write_text(folder / MANIFEST, json.dumps(about | _measured(folder, measured), indent=1) + "\n")
        _record(record, about, history, measured)
        record.artifact(folder / "model.safetensors", "weights")
        record.artifact(folder / MANIFEST, "manifest")
    return record.result


def _about(
    config: TrainConfig, context: Context, parameters: int, history: TrainingHistory, seconds: tuple[float, float]
) -> dict[str, Any]:
    settings = WorldSettings()
    batches = training_batches(config, World.of(settings), settings, context.seed)
    return {
        "command": context.command,
        "seed": context.seed,
        "config": plain(config),
        "world_sha256_16": settings.hash,
        "data_sha256_16": data_hash(batches, history.steps),
        "parameters": parameters,
        "steps": history.steps,
        "tokens": history.tokens,
        "losses": _course(history),
        "gaps": {str(step): numbers for step, numbers in history.evaluations.items()},
        # A resumed run has trained before; only what this process did is timed.
        "timed_steps": history.steps - history.resumed_from,
        "wall_seconds": round(seconds[0], 1),
        "cpu_seconds": round(seconds[1], 1),
        "environment": environment(),
    }


def _course(history: TrainingHistory) -> list[list[float]]:
    """Training loss, averaged over blocks of 50 steps: [last step of the block, loss]."""
    ends = range(min(_SMOOTHED, history.steps), history.steps + 1, _SMOOTHED)
    return [[end, round(float(np.mean(history.losses[max(0, end - _SMOOTHED) : end])), 4)] for end in ends]


def _measured(folder: Path, measured: Result) -> dict[str, Any]:
    return {"files_sha256": file_hashes(folder), "check": check_record(measured)}


def _record(record: Recorder, about: dict[str, Any], history: TrainingHistory, measured: Result) -> None:
    for name in ("parameters", "steps", "tokens", "wall_seconds"):
        record.value(name, about[name])
    for name, value in measured.values.items():
        record.value(name, value)
    for step, loss in about["losses"]:
        record.measure("loss", loss, unit="nats", step=step)
    for step, numbers in history.evaluations.items():
        for name, value in numbers.items():
            record.measure(name, value, unit="nats", step=step)
