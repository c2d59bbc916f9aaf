"""Trains the reference model, measures it against its world, and writes weights, tokenizer and manifest."""

from __future__ import annotations

import json
import time

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Result, to_json
from seqtant.reference.config import CheckConfig, TrainConfig
from seqtant.reference.instruments.check import check_model
from seqtant.reference.recipe import MANIFEST, data_hash, file_hashes, fit, save_model, training_batches
from seqtant.reference.world.world import World, WorldSettings
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Context, Recorder, environment
from seqtant.runs.verb import verb
from seqtant.settings import plain

_SMOOTHED = 50
"""Steps whose training losses are averaged into one number of the manifest."""


@verb(TrainConfig)
def train_model(config: TrainConfig, context: Context) -> Result:
    """Trains and checks; weights land in ``weights`` in the run's folder.

    Raises:
        InputError: The run has no folder.
    """
    if context.folder is None:
        raise InputError("training writes weights: say where with --out DIR")
    folder = context.folder / "weights"
    with Recorder("reference.train", "The reference model, trained from nothing", config, context) as record:
        wall, cpu = time.perf_counter(), time.process_time()
        network, history = fit(config, context)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        folder.mkdir(parents=True, exist_ok=True)
        save_model(network, folder)
        measured = check_model.run(CheckConfig(model=str(folder), **vars(config.check)), context)
        record.part(measured)
        settings = WorldSettings()
        batches = training_batches(config, World.of(settings), settings, context.seed)
        found = json.loads(to_json(measured))
        ends = range(min(_SMOOTHED, history.steps), history.steps + 1, _SMOOTHED)
        losses = [[end, round(float(np.mean(history.losses[max(0, end - _SMOOTHED) : end])), 4)] for end in ends]
        manifest = {
            "command": context.command,
            "seed": context.seed,
            "config": plain(config),
            "world_sha256_16": settings.hash,
            "data_sha256_16": data_hash(batches, history.steps),
            "parameters": network.num_parameters(),
            "steps": history.steps,
            "tokens": history.tokens,
            "losses": losses,
            "gaps": {str(step): numbers for step, numbers in history.evaluations.items()},
            # A resumed run has trained before; only what this process did is timed.
            "timed_steps": history.steps - history.resumed_from,
            "wall_seconds": round(wall, 1),
            "cpu_seconds": round(cpu, 1),
            "environment": environment(),
            "files_sha256": file_hashes(folder),
            "check": {key: found[key] for key in ("config", "seed", "values", "findings", "tables")},
        }
        write_text(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
        for name in ("parameters", "steps", "tokens", "wall_seconds"):
            record.value(name, manifest[name])
        for name, value in measured.values.items():
            record.value(name, value)
        for step, loss in losses:
            record.measure("loss", loss, unit="nats", step=step)
        for step, numbers in history.evaluations.items():
            for name, value in numbers.items():
                record.measure(name, value, unit="nats", step=step)
        record.artifact(folder / "model.safetensors", "weights")
        record.artifact(folder / MANIFEST, "manifest")
    return record.result
