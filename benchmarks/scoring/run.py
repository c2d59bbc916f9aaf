"""Times token scoring against the plain loop and against the floating-point operations it needs.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/scoring/run.py [--peer PYTHON]

Contenders take turns, forwards and backwards; times are CPU seconds of one thread, medians of several repeats. Results
must agree before anything is timed. Writes ``benchmarks/results/scoring.json`` and the tables of the README here.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from contenders import ours, padded_scores, plain_choices, plain_prefixes, plain_scores
from peer import ask
from work import SIZES, Size, flops, network, texts

from seqtant.lm.interface import logits_per_pass, tokens_per_pass

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "results" / "scoring.json"
TOLERANCE = 1e-4
"""Largest difference in nats between contenders that still counts as the same result."""


def race(contenders: dict[str, Callable[[], Any]], repeats: int) -> dict[str, dict[str, Any]]:
    """CPU seconds of each contender, taking turns in both directions."""
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(repeats):
        for name in list(contenders)[:: 1 if repeat % 2 == 0 else -1]:
            start = time.process_time()
            contenders[name]()
            seconds[name].append(time.process_time() - start)
    return {
        name: {"cpu_seconds": median(taken), "fastest": min(taken), "slowest": max(taken), "repeats": repeats}
        for name, taken in seconds.items()
    }


def agree(left: Any, right: Any) -> float:
    """Largest difference between two results of one job.

    Raises:
        AssertionError: It is larger than the tolerance.
    """
    pairs = zip(left, right, strict=True)
    worst = max(float((a.double() - b.double()).abs().max()) for a, b in pairs if a.numel())
    assert worst < TOLERANCE, f"contenders disagree by {worst} nats"
    return worst


def score_job(size: Size, repeats: int) -> dict[str, Any]:
    """Sequences of 16 to 128 tokens, every token scored."""
    model = network(size)
    sequences = texts(size, 32, 16, 128)
    here = ours(model)
    worst = agree(plain_scores(model, sequences), here["scores"](sequences))
    square = torch.randn(512, 512)
    times = race(
        {
            "plain loop": lambda: plain_scores(model, sequences),
            "padded batches": lambda: padded_scores(model, sequences),
            "seqtant": lambda: here["scores"](sequences),
            "matrix product": lambda: square @ square,
        },
        repeats,
    )
    peak = 2 * 512**3 / times.pop("matrix product")["fastest"]
    needed = flops(model, [len(ids) for ids in sequences])
    for row in times.values():
        row["share_of_peak"] = needed / row["cpu_seconds"] / peak
    held = min(tokens_per_pass(here["model"]) * size.vocabulary, logits_per_pass(here["model"]))
    logits = {"plain loop": max(map(len, sequences)) * size.vocabulary, "seqtant": held}
    return {"size": size.name, "gflops_needed": needed / 1e9, "peak_gflops": peak / 1e9, "largest_difference": worst,
            "logits_held": logits, "times": times}  # fmt: skip


def length_job(size: Size, repeats: int) -> dict[str, Any]:
    """The same number of tokens in sequences of one length each: how the cost grows with the length."""
    model, lengths = network(size), [32, 64, 128, 256, 512]
    here = ours(model)
    rows = []
    for length in lengths:
        sequences = texts(size, 2048 // length, length - 1, length - 1)
        times = race(
            {
                "plain loop": lambda s=sequences: plain_scores(model, s),
                "seqtant": lambda s=sequences: here["scores"](s),
            },
            repeats,
        )
        per = {name: row["cpu_seconds"] / len(sequences) for name, row in times.items()}
        rows.append({"length": length, "cpu_seconds_per_sequence": per})
    slopes = {
        name: float(np.polyfit(np.log(lengths), np.log([row["cpu_seconds_per_sequence"][name] for row in rows]), 1)[0])
        for name in ("plain loop", "seqtant")
    }
    return {"size": size.name, "lengths": rows, "slope_of_log_time_in_log_length": slopes}


def choice_job(size: Size, repeats: int, peer: str | None) -> dict[str, Any]:
    """Few-shot ranking: 8 prompts of 96 to 160 tokens, each with the same 8 answers of 1 to 4 tokens."""
    model = network(size)
    prompts = texts(size, 8, 96, 160)
    choices = [ids[1:] for ids in texts(size, 8, 1, 4, seed=1)]
    here = ours(model)
    expected = plain_choices(model, prompts, choices)
    worst = agree(expected, here["choices"](prompts, choices))
    times = race(
        {
            "plain loop": lambda: plain_choices(model, prompts, choices),
            "seqtant": lambda: here["choices"](prompts, choices),
        },
        repeats,
    )
    if peer is not None:
        answer = ask(peer, size, prompts, choices, repeats)
        found = torch.tensor(answer.pop("scores"), dtype=torch.float64)
        answer["largest_difference"] = agree(expected, found)
        times["lm-eval"] = answer
    return {"size": size.name, "largest_difference": worst, "times": times}


def prefix_job(size: Size, repeats: int) -> dict[str, Any]:
    """A 16-shot prompt asked after every shot: 17 prefixes of 4 sequences of 256 tokens."""
    model = network(size)
    sequences, places = texts(size, 4, 255, 255), list(range(15, 256, 15))
    here = ours(model)
    worst = agree(plain_prefixes(model, sequences, places), here["prefixes"](sequences, places))
    times = race(
        {
            "plain loop": lambda: plain_prefixes(model, sequences, places),
            "seqtant": lambda: here["prefixes"](sequences, places),
        },
        repeats,
    )
    return {"size": size.name, "largest_difference": worst, "times": times}


def main() -> None:
    """Runs the jobs, keeps the record, writes the tables."""
    from tables import write_tables

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--peer", help="Python of an environment with lm-eval")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    from seqtant.runs.recorder import environment

    record: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(),
        "load_average_at_start": os.getloadavg(),
        "scores": [score_job(size, chosen.repeats) for size in SIZES.values()],
        "lengths": [length_job(SIZES[name], chosen.repeats) for name in ("0.26M", "6M")],
        "choices": [choice_job(SIZES[name], chosen.repeats, chosen.peer) for name in ("0.26M", "6M")],
        "prefixes": [prefix_job(SIZES[name], chosen.repeats) for name in ("0.26M", "6M")],
        "load_average_at_end": os.getloadavg(),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    write_tables(FOLDER / "README.md", record)


if __name__ == "__main__":
    main()
