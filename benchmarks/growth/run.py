"""How the cost of each job grows with its size: processor seconds at four sizes, and the slope of their logarithms.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/growth/run.py [--job train]

Jobs run on the model that ships and on built-in tones; the imports are made before the clock is started. Writes
``benchmarks/results/growth.json``, from which ``docs/scale_page.py`` computes what the jobs cost at 10, 100 and 1000
times their size.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqtant import beb, ctc, icl
from seqtant.lm import load, token_log_probs
from seqtant.runs.recorder import Context, environment
from seqtant.stats.fits import fit_line
from seqtant.training import TrainingConfig, train

RESULTS = Path(__file__).parents[1] / "results" / "growth.json"
ROWS, LENGTH, WORDS = 8, 128, 170


@dataclass(frozen=True)
class Job:
    """One job at sizes that double."""

    what: str
    unit: str
    sizes: tuple[int, ...]
    do: Callable[[int], Any]
    """Does it once at a size; the size is in ``unit`` after ``scale``."""
    scale: int = 1


class Texts:
    """Random tokens: what they say costs nothing."""

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        tokens = torch.randint(0, WORDS, (ROWS, LENGTH), generator=generator)
        return {"input_ids": tokens, "labels": tokens}


def score(texts: int) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, WORDS, (texts, LENGTH), generator=generator).tolist()
    token_log_probs(load("reference", device="cpu"), rows)


def learn(steps: int) -> None:
    network = load("reference", device="cpu").model.requires_grad_()
    train(network, Texts(), TrainingConfig(steps=steps), context=Context(device="cpu"))


def measure(prompts: int) -> None:
    beb.measure.run(replace(beb.MeasureConfig.smoke(), prompts=prompts), Context(device="cpu"))


def shots(prompts: int) -> None:
    icl.shots.run(replace(icl.ShotsConfig.smoke(), prompts=prompts), Context(device="cpu"))


def listen(steps: int) -> None:
    ctc.train.run(replace(ctc.TrainConfig.smoke(), base_steps=steps), Context(device="cpu"))


JOBS = {
    "score": Job("score texts", "tokens", (128, 256, 512, 1024), score, LENGTH),
    "train": Job("train the decoder that ships", "tokens", (1, 2, 4, 8), learn, ROWS * LENGTH),
    "measure": Job("measure a breaking length", "prompts of each side", (8, 16, 32, 64), measure),
    "shots": Job("count the shots of eight tasks", "prompts per task", (6, 12, 24, 48), shots),
    "ctc": Job("train a small recognizer", "steps of 8 utterances", (50, 100, 200, 400), listen),
}


def seconds(job: Job, size: int) -> float:
    """Processor seconds of one run."""
    started = time.process_time()
    job.do(size)
    return time.process_time() - started


def growth(job: Job) -> dict[str, Any]:
    """Seconds at all sizes and their slope."""
    job.do(job.sizes[0])
    spent = [seconds(job, size) for size in job.sizes]
    sizes = [size * job.scale for size in job.sizes]
    slope = fit_line(np.log(sizes), np.log(spent)).estimate("slope")
    return {
        "what": job.what,
        "unit": job.unit,
        "sizes": sizes,
        "cpu_seconds": spent,
        "slope": slope.value,
        "slope_low": slope.low,
        "slope_high": slope.high,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--job", choices=list(JOBS), action="append")
    given = parser.parse_args()
    kept: dict[str, Any] = json.loads(RESULTS.read_text())["jobs"] if RESULTS.is_file() else {}
    for name in given.job or JOBS:
        kept[name] = growth(JOBS[name])
        print(json.dumps(kept[name]), flush=True)
        result = {"jobs": kept, "environment": environment()}
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
