"""Holds what ``subtasks probe`` foretells against training: updates until each step was learned, over those foretold.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/subtasks_probe/run.py [CASE ...]

Every case trains one network on a parity with its steps and looks often; a step counts as learned at the first look
at which it is right in 95 % of the inputs given the true earlier steps. The unit is the number of updates whose inputs
together show the step in the gradient of the fresh network, 1 / (visibility * batch). Writes
``benchmarks/results/subtasks_probe.json``, case by case.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from seqtant.findings import Result
from seqtant.runs.recorder import environment
from seqtant.subtasks import NetworkConfig, OptimizationConfig, probe, train

RESULTS = Path(__file__).parents[1] / "results" / "subtasks_probe.json"
ELMAN = NetworkConfig(width=256)
MASKED = NetworkConfig(kind="masked", width=64, depth=1)
DECODER = NetworkConfig(kind="decoder", width=64, depth=2, embedding_scale=1.0)
CASES: dict[str, tuple[NetworkConfig, int, int, int]] = {
    "elman-8": (ELMAN, 8, 400, 10),
    "elman-12": (ELMAN, 12, 800, 20),
    "elman-16": (ELMAN, 16, 1200, 40),
    "masked-16": (MASKED, 16, 400, 20),
    "masked-32": (MASKED, 32, 500, 20),
    "masked-64": (MASKED, 64, 500, 50),
    "decoder-8": (DECODER, 8, 400, 20),
    "decoder-16": (DECODER, 16, 1000, 50),
}
"""Name -> network, bits, updates, updates between two looks."""
LEARNED = 0.95


def measure(name: str, seed: int) -> list[dict[str, Any]]:
    """Units foretold and updates needed of every step of one case; None where a step was not learned."""
    network, bits, updates, every = CASES[name]
    settings = OptimizationConfig()
    looked = probe(bits=bits, network=network, samples=4096, device="cpu", seed=seed)
    trained = train(
        bits=bits,
        network=network,
        optimization=settings,
        updates=updates,
        evaluate_every=every,
        test_rows=64,
        device="cpu",
        seed=seed,
    )
    table = next(table for table in looked.tables if table.name == "signals")
    rows = {str(row[0]): dict(zip(table.columns, row, strict=True)) for row in table.rows}
    return [
        {"step": int(step), "unit": unit(row, settings.batch), "updates": updates_to_learn(trained, step)}
        for step, row in rows.items()
        if step != "whole"
    ]


def unit(row: dict[str, Any], batch: int) -> float | None:
    """Updates whose inputs together show a target, at least one; None where no signal was seen."""
    return max(1.0, 1 / (row["visibility"] * batch)) if row["visibility"] > 0 else None


def updates_to_learn(trained: Result, step: str) -> float | None:
    """Updates at the first look at which a step was learned."""
    return next((row.step for row in trained.series(f"step {step}") if row.value >= LEARNED), None)


def main() -> None:
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))["cases"] if RESULTS.is_file() else {}
    for name in sys.argv[1:] or CASES:
        kept[name] = {"looks_every": CASES[name][3], "steps": measure(name, 0)}
        record = {"cases": {each: kept[each] for each in CASES if each in kept}, "environment": environment()}
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(name, [(s["unit"] and round(s["unit"], 1), s["updates"]) for s in kept[name]["steps"]], flush=True)


if __name__ == "__main__":
    main()
