"""Draws independent configurations from a trained state and writes them with their log-probabilities."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from seqtant.findings import Estimate, Result
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.quantum.config import SampleConfig
from seqtant.quantum.observation.observables import magnetizations, mean_of
from seqtant.quantum.training.checkpoint import folder_of, load_state
from seqtant.quantum.training.distributed import Processes
from seqtant.quantum.training.rng import generator_for
from seqtant.runs.context import Context
from seqtant.runs.files import whole_file
from seqtant.runs.recorder import Recorder


def run(config: SampleConfig, context: Context) -> Result:
    """Draws samples.

    Raises:
        InputError: The folder holds no sound state, or the file cannot be written.
    """
    device = Processes(context.device).device(context.device)
    system, state, _ = load_state(folder_of(config.checkpoint), device=device)
    title = f"{config.samples} configurations of {system.config.hamiltonian} on {system.lattice}"
    with Recorder("quantum.sample", title, config, context, papers=(9,)) as record:
        start = time.perf_counter()
        spins, counts, log_prob = draw(state, config.samples, config.unique, generator_for(context.seed, 7))
        seconds = time.perf_counter() - start
        record.value("samples", config.samples)
        record.value("distinct", len(spins))
        record.value("samples_per_second", config.samples / seconds)
        every = spins.repeat_interleave(counts, dim=0)
        entropy = mean_of(-log_prob.repeat_interleave(counts), "nats")
        _record(record, entropy, magnetizations(every, system.lattice), config.samples, len(spins))
        path = _path(config, context)
        if path is not None:
            tensors = {"spins": spins, "counts": counts, "log_prob": log_prob}
            with whole_file(path) as partial:
                save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, partial)
            record.artifact(path, "samples: spins, counts, log_prob")
    return record.result


def draw(
    state: AutoregressiveState, number: int, unique: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Spins, counts and log-probabilities of independent samples."""
    if unique:
        return state.sample_counts(number, generator)
    spins, log_prob = state.sample(number, generator, return_log_prob=True)
    return spins, torch.ones(number, dtype=torch.int64, device=spins.device), log_prob


def _path(config: SampleConfig, context: Context) -> Path | None:
    if config.file is not None:
        return Path(config.file)
    return None if context.folder is None else context.folder / "samples.safetensors"


def _record(record: Recorder, entropy: Estimate, found: dict[str, Estimate], samples: int, distinct: int) -> None:
    record.value("entropy", entropy.value)
    record.finding(
        "entropy",
        "How spread out is the state over configurations?",
        "agrees",
        f"entropy {entropy}: {distinct} distinct configurations in {samples} exact, independent samples",
        measured=entropy,
    )
    record.table(
        "samples",
        "What was drawn",
        ("quantity", "value", "low", "high"),
        [("entropy (nats)", entropy.value, entropy.low, entropy.high)]
        + [(name.replace("_", " "), e.value, e.low, e.high) for name, e in found.items()],
    )
