"""Samples independent configurations from a trained state and writes them with their log-probabilities."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from seqtant.findings import Result
from seqtant.quantum.config import SampleConfig
from seqtant.quantum.observation import magnetizations, mean_of
from seqtant.quantum.training.checkpoint import load_state
from seqtant.quantum.training.distributed import DistributedContext, generator_for
from seqtant.runs.files import whole_file
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb


@verb(SampleConfig)
def sample(config: SampleConfig, context: Context) -> Result:
    """Samples exact, independent configurations from a trained state, with their log-probabilities.

    Spins are drawn site by site from the conditionals, so that nothing has to equilibrate; with ``unique``, each
    distinct configuration is computed once. In Python, ``state.sample`` gives the tensors themselves.

    Returns:
        ``distinct`` configurations among ``samples``, the ``entropy`` in nats; magnetizations as a table. Spins, counts
        and log-probabilities are written to ``file``, or into ``out``.

    Raises:
        InputError: The folder holds no sound state, or the file cannot be written.

    Example:
        >>> from seqtant.quantum import sample
        >>> sample(samples=50).values["samples"]
        50
    """
    device = DistributedContext(context.device).device(context.device)
    system, state, _ = load_state(config.checkpoint, device=device)
    title = f"{config.samples} configurations of {system.name} on {system.lattice}"
    with Recorder("quantum.sample", title, config, context, papers=(9,)) as record:
        generator = generator_for(context.seed, 7)
        start = time.perf_counter()
        if config.unique:
            spins, counts, log_prob = state.sample_counts(config.samples, generator)
        else:
            spins, log_prob = state.sample(config.samples, generator, return_log_prob=True)
            counts = torch.ones(config.samples, dtype=torch.int64, device=spins.device)
        seconds = time.perf_counter() - start
        entropy = mean_of(-log_prob.repeat_interleave(counts), "nats")
        found = magnetizations(spins.repeat_interleave(counts, dim=0), system.lattice)
        record.value("samples", config.samples)
        record.value("distinct", len(spins))
        record.value("samples_per_second", config.samples / seconds)
        record.value("entropy", entropy.value)
        record.finding(
            "entropy",
            "How spread out is the state over configurations?",
            "agrees",
            f"entropy {entropy}: {len(spins)} distinct configurations in {config.samples} exact, independent samples",
            measured=entropy,
        )
        rows = [("entropy (nats)", entropy.value, entropy.low, entropy.high)]
        rows += [(name.replace("_", " "), e.value, e.low, e.high) for name, e in found.items()]
        record.table("samples", "What was drawn", ("quantity", "value", "low", "high"), rows)
        path = None if context.folder is None else context.folder / "samples.safetensors"
        if config.file is not None:
            path = Path(config.file)
        if path is not None:
            tensors = {"spins": spins, "counts": counts, "log_prob": log_prob}
            with whole_file(path) as partial:
                save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, partial)
            record.artifact(path, "samples: spins, counts, log_prob")
    return record.result
