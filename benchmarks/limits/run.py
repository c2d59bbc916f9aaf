"""How far the hot paths are from what the machine can do: operations or bytes counted, against rates measured beside.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/limits/run.py ["ground-state step" ...]

Each path takes turns with a plain product of two matrices or a plain pass over memory of its size, so that a busy
machine slows both. Times are CPU seconds of one thread. Writes ``benchmarks/results/limits.json``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent / "scoring"))
RESULTS = FOLDER.parent / "results" / "limits.json"
REPEATS = 7
SQUARE = 512
"""Side of the matrices whose product stands for the peak: they fit into the cache."""


def race(work: Callable[[], Any], limit: Callable[[], Any]) -> tuple[list[float], list[float]]:
    """CPU seconds of both, in turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    work(), limit()
    for _ in range(REPEATS):
        for taken, run in zip(seconds, (work, limit), strict=True):
            start = time.process_time()
            run()
            taken.append(time.process_time() - start)
    return seconds


def row(path: str, counted: str, unit: str, amount: float, work: Callable[[], Any], limit: Callable[[], Any],
        amount_of_limit: float) -> dict[str, Any]:  # fmt: skip
    """One hot path: what it must do at least, how fast that could go, how long it takes."""
    taken, plain = race(work, limit)
    shares = sorted(amount / amount_of_limit * least / own for own, least in zip(taken, plain, strict=True))
    return {
        "path": path,
        "counted": counted,
        "amount": amount,
        "unit": unit,
        "rate_per_second": amount_of_limit / median(plain),
        "cpu_seconds": median(taken),
        "share_of_limit": median(shares),
        "share_low": shares[0],
        "share_high": shares[-1],
    }


def product() -> tuple[Callable[[], Any], float]:
    """The peak for arithmetic: FLOPs of a product of two matrices, repeated to be long enough to time."""
    square = torch.randn(SQUARE, SQUARE)
    return lambda: [square @ square for _ in range(10)], 10 * 2.0 * SQUARE**3


def memory(size: int) -> tuple[Callable[[], Any], float]:
    """The peak for bytes: reading and writing as many numbers as the path holds."""
    held = torch.randn(size)
    return lambda: held.mul_(1.0), 8.0 * size


def scoring() -> dict[str, Any]:
    """Log-probabilities of every token of 32 sequences."""
    from contenders import ours
    from work import SIZES, flops, network, texts

    size = SIZES["6M"]
    model, sequences = network(size), texts(SIZES["6M"], 32, 16, 128)
    needed = flops(model, [len(ids) for ids in sequences])
    score = ours(model)["scores"]
    return row("scoring", "FLOPs without padding", "FLOP", needed, lambda: score(sequences), *product())


def generation() -> dict[str, Any]:
    """Steered generation of one row: every weight must be read once per token."""
    from work import SIZES, network

    from seqtant.lm.generation import Sampling, generate
    from seqtant.lm.huggingface import HuggingFaceLM
    from seqtant.steering import SteeringVector, apply_steering

    size, tokens = SIZES["26M"], 32
    model = HuggingFaceLM(network(size))
    weights = sum(p.numel() for p in model.model.parameters()) - size.vocabulary * size.width  # one row of the table
    vector = SteeringVector({layer: torch.randn(size.width) / size.width**0.5 for layer in range(size.depth)})
    prompt = [list(range(3, 19))]

    def run() -> None:
        with apply_steering(model, vector, 1.0):
            generate(model, prompt, max_tokens=tokens, min_tokens=tokens, sampling=Sampling(temperature=0.0))

    held = torch.randn(weights)
    return row("steered generation", "bytes of weights per token", "byte", 4.0 * weights * tokens, run,
               lambda: [held.sum() for _ in range(4)], 4 * 4.0 * weights)  # fmt: skip


def purpose() -> dict[str, Any]:
    """The loss of Align With Purpose and its gradient: log-probabilities are read and gradients written once."""
    from seqtant import ctc

    B, T, V, N = 16, 400, 29, 5
    scores = torch.randn(B, T, V, generator=torch.Generator().manual_seed(0)).log_softmax(-1).requires_grad_(True)
    lengths, targets = torch.full((B,), T), torch.randint(1, V, (B, 60))
    loss = ctc.AlignWithPurpose(["low-latency"], weight=1.0, blank=0, num_samples=N, batch_first=True)
    generator = torch.Generator().manual_seed(1)

    def run() -> None:
        scores.grad = None
        loss(scores, targets, lengths, torch.full((B,), 60), generator=generator, step=0).backward()

    amount = 4.0 * (3 * B * T * V + 4 * B * N * T)
    return row("loss with a purpose", "bytes of inputs, gradients, samples and paths", "byte", amount, run,
               *memory(B * T * V))  # fmt: skip


def packing() -> dict[str, Any]:
    """Best-fit packing of a million documents: no less than sorting their lengths."""
    from seqtant.pretraining.examples.packing import pack_lengths

    drawn = np.random.default_rng(0).normal(5.7, 1.18, 1_000_000)
    sizes = np.clip(np.round(np.exp(drawn)), 1, 2048).astype(np.int64)
    ours, limit = lambda: pack_lengths(sizes, 2048, "best-fit"), lambda: np.argsort(sizes, kind="stable")
    return row("packing", "one sort of the lengths", "length", len(sizes), ours, limit, len(sizes))


def step() -> dict[str, Any]:
    """One step of a variational ground state, 6x6 spins: operations counted along what each flip touches."""
    from seqtant.quantum.config import NetworkConfig, OptimizerConfig, SystemConfig
    from seqtant.quantum.instruments.benchmark import count
    from seqtant.quantum.observation import Hamiltonian
    from seqtant.quantum.training.distributed import DistributedContext, generator_for
    from seqtant.quantum.training.systems import System, make_state, resolve_network
    from seqtant.quantum.training.vmc import VMC

    samples = 1024
    system = System.of(SystemConfig(lattice="6x6", hamiltonian="tfim", field=3.0))
    state = make_state(system, resolve_network(NetworkConfig(depth=3), system), generator_for(0, 6))
    training = VMC(state, Hamiltonian(system.pauli), OptimizerConfig(), steps=REPEATS + 2, samples=samples,
                   seed=0, processes=DistributedContext("cpu"))  # fmt: skip
    operations, _ = count(state, training.hamiltonian)
    kernel = samples**2 * sum(p.numel() for p in state.parameters())  # one triangle, a product and a sum each
    return row("ground-state step", "FLOPs of sampling, gradients, flips and kernel", "FLOP",
               2.0 * operations * samples + kernel, training.step, *product())  # fmt: skip


PATHS = {
    "scoring": scoring,
    "steered generation": generation,
    "loss with a purpose": purpose,
    "packing": packing,
    "ground-state step": step,
}


def main() -> None:
    """Measures every path, or those that are named, and keeps the record; the others keep their rows."""
    torch.set_num_threads(1)
    from seqtant.runs.recorder import environment

    wanted = sys.argv[1:] or list(PATHS)
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))["paths"] if RESULTS.is_file() else []
    rows = {each["path"]: each for each in stored}
    start = {"created": datetime.now(UTC).isoformat(timespec="seconds"), "load_average_at_start": os.getloadavg()}
    rows |= {path: PATHS[path]() | start for path in wanted}
    record = {
        "environment": environment(),
        "repeats": REPEATS,
        "paths": [rows[path] for path in PATHS if path in rows],
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for each in record["paths"]:
        print(f"{each['path']:22} {each['cpu_seconds']:.4f} s  {100 * each['share_of_limit']:.1f} % of the limit")


if __name__ == "__main__":
    main()
