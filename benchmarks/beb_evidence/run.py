"""Exact divergences in one pass per model, beside the published protocol of 64 sampled continuations per prefix.

Both estimate the same curve on the same two networks: KL(P- || model) of the eight tokens that follow 1, 2, ...
sentences drawn from P-. Run ``python benchmarks/beb_evidence/run.py`` (minutes on one core); it writes
``benchmarks/results/beb_evidence.json``.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from seqtant.beb.components.finetune import finetune
from seqtant.beb.components.loading import world_component
from seqtant.beb.prompts.sampling import Prompt, SentenceEnds, sample_prompts
from seqtant.lm import encode, generate, load, log_prob_blocks, token_log_probs
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.runs.recorder import Context, environment
from seqtant.training import TrainingConfig

PREFIXES, TOKENS, SAMPLES, PUBLISHED_PROMPTS, EXACT_PROMPTS, REPEATS = 10, 8, 64, 10, 60, 5
OUT = Path(__file__).parents[1] / "results" / "beb_evidence.json"


def sides() -> tuple[HuggingFaceLM, HuggingFaceLM, SentenceEnds, list[int]]:
    """The model that ships, and a copy tuned on its dark personas as P-: two networks of equal cost."""
    model, dark = load("reference", device="cpu"), world_component("world:gloomy,grumpy")
    splitter, opening = SentenceEnds(model, ".!"), encode(model, ["talk :"])[0]
    documents = sample_prompts(dark, [opening] * 160, 12, splitter, generator=torch.Generator().manual_seed(1)).prompts
    training = TrainingConfig(steps=20, learning_rate=1e-3, warmup=2)
    minus = finetune(model, documents, training, 8, Context(device="cpu"), name="dark")
    return minus, model, splitter, opening


def draw(minus: HuggingFaceLM, splitter: SentenceEnds, opening: list[int], count: int, seed: int) -> tuple[Prompt, ...]:
    # Three sentences more than prefixes: eight tokens must follow the last one.
    generator = torch.Generator().manual_seed(seed)
    return sample_prompts(minus, [opening] * count, PREFIXES + 3, splitter, generator=generator).prompts


@torch.no_grad()
def exact(minus: HuggingFaceLM, model: HuggingFaceLM, prompts: tuple[Prompt, ...]) -> np.ndarray:
    """One pass of each model over each prompt; the divergence is summed over the vocabulary at every position."""
    result = np.zeros((len(prompts), PREFIXES))
    for block in log_prob_blocks([minus, model], [prompt.ids for prompt in prompts]):
        own, other = (scores.double() for scores in block.log_probs)
        by_position = (own.exp() * (own - other)).sum(dim=-1).numpy()
        first = int(block.positions[0])
        for line, row in enumerate(block.rows.tolist()):
            for number, end in enumerate(prompts[row].ends[:PREFIXES]):
                result[row, number] += by_position[line, max(0, end - first) : max(0, end - first + TOKENS)].sum()
    return result


@torch.no_grad()
def published(minus: HuggingFaceLM, model: HuggingFaceLM, prompts: tuple[Prompt, ...]) -> np.ndarray:
    """64 continuations of every prefix, each scored from its beginning by both models, as the authors' code does it.

    Two of its faults are put right, or the numbers would differ: all eight tokens count, and nothing is truncated.
    """
    result = np.zeros((len(prompts), PREFIXES))
    generator = torch.Generator().manual_seed(5)
    for row, prompt in enumerate(prompts):
        for number in range(PREFIXES):
            prefix = prompt.upto(number + 1)
            made = generate(minus, [prefix], max_tokens=TOKENS, min_tokens=TOKENS, samples=SAMPLES, generator=generator)
            texts = [[*prefix, *one.tokens] for one in made]
            ours, theirs = (token_log_probs(side, texts) for side in (minus, model))
            ratios = [float((p - q)[-TOKENS:].sum()) for p, q in zip(ours, theirs, strict=True)]
            result[row, number] = np.mean(ratios)
    return result


def variance(values: np.ndarray) -> float:
    """Mean over prefixes of the variance over prompts."""
    return float(values.var(axis=0, ddof=1).mean())


def timed(make: Callable[[], np.ndarray]) -> dict[str, float]:
    """One estimate of the curve: what it cost, and how far off it is likely to be."""
    start = time.process_time()
    values = make()
    seconds, spread = time.process_time() - start, variance(values)
    return {
        "prompts": len(values),
        "cpu_seconds": seconds,
        "variance": spread,
        "standard_error": math.sqrt(spread / len(values)),
        "mean": float(values.mean()),
    }


def ratio(theirs: dict[str, float], ours: dict[str, float]) -> float:
    """How many times fewer CPU seconds exact divergences need for the same standard error.

    Their cost grows with the number of prompts, and their variance falls with it.
    """
    needed = ours["variance"] / theirs["standard_error"] ** 2
    return theirs["cpu_seconds"] / (ours["cpu_seconds"] / ours["prompts"] * needed)


def pooled(records: Sequence[dict[str, Any]], side: str) -> dict[str, float]:
    """The repeats of one protocol together: a standard error from ten prompts alone is itself uncertain."""
    means = {key: float(np.mean([record[side][key] for record in records])) for key in ("cpu_seconds", "variance")}
    prompts = records[0][side]["prompts"]
    return means | {"prompts": prompts, "standard_error": math.sqrt(means["variance"] / prompts)}


def main() -> None:
    minus, model, splitter, opening = sides()
    records: list[dict[str, Any]] = []
    for repeat in range(REPEATS):
        seeds = 10 + repeat, 20 + repeat
        record = {
            "published": timed(
                lambda seed=seeds[0]: published(minus, model, draw(minus, splitter, opening, PUBLISHED_PROMPTS, seed))
            ),
            "exact": timed(
                lambda seed=seeds[1]: exact(minus, model, draw(minus, splitter, opening, EXACT_PROMPTS, seed))
            ),
        }
        fewer = ratio(record["published"], record["exact"])
        records.append({**record, "times_fewer_cpu_seconds": fewer})
        print(json.dumps(records[-1]), flush=True)
    times = [record["times_fewer_cpu_seconds"] for record in records]
    found = {
        "what": (__doc__ or "").splitlines()[0],
        "prefixes": PREFIXES,
        "tokens": TOKENS,
        "samples": SAMPLES,
        "times_fewer_cpu_seconds": ratio(pooled(records, "published"), pooled(records, "exact")),
        "median_times_fewer_cpu_seconds": float(np.median(times)),
        "least_times_fewer_cpu_seconds": min(times),
        "most_times_fewer_cpu_seconds": max(times),
        "repeats": records,
        "load_average": os.getloadavg(),
        "environment": environment(),
    }
    OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
