"""Holds the strength that `steering choose` advises against a dense sweep of the half that it did not see.

    python benchmarks/steering_advice/run.py MODEL [--pairs FILE --behavior FILE --helpfulness FILE] [--seeds 0 1 2] \
        [--budgets 0.02 0.05 0.1 0.3] [--layers default 1 2 3 auto] [--to benchmarks/results/steering-advice.json]

Per case: alignment, helpfulness and coherence of the held-out half at the advised strength, and the best alignment of
33 strengths up to 1.25 times the edge that keep both budgets on that half. Cases in the file are not run again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import seqtant
from seqtant.runs.recorder import Context
from seqtant.sources import name_of
from seqtant.steering import choose_strength
from seqtant.steering.analysis.recommendation import Coherence
from seqtant.steering.config import ChooseConfig
from seqtant.steering.inputs import open_bench
from seqtant.steering.instruments.choose import split_in_halves

POINTS = 33
MARGIN = 0.03
"""How far the advised strength may stay behind the best of the dense sweep."""


def case(config: ChooseConfig, seed: int) -> dict[str, Any]:
    """One choice beside its dense sweep."""
    context = Context(seed=seed, device="cpu")
    started = time.process_time()
    found = choose_strength.run(config, context)
    spent = time.process_time() - started
    values = found.values
    advised = values["strength"]
    advice = found.findings[0].advice
    layers = config.layers
    if layers == "auto":
        layers = advice.split("--layers ")[1].split()[0].rstrip(".") if "--layers" in advice else "0:1.0"
    bench = open_bench(replace(config, layers=layers), context)
    _, held_out = split_in_halves(bench, seed)
    edge = float(values["edge"])
    dense = np.linspace(0.0, 1.25 * edge, POINTS).tolist()
    strengths = [*dense, *([] if advised is None else [float(advised)])]
    scores = held_out(strengths)
    alignment = scores.behavior.alignment.mean(axis=1)
    helpfulness = scores.helpfulness.restricted.mean(axis=1)
    loss = 1 - helpfulness / helpfulness[0]
    coherence = [each.value for each in Coherence.of(held_out, config.reply_tokens).loss(strengths)]
    within = [loss[n] <= config.budget and coherence[n] <= config.coherence_budget for n in range(POINTS)]
    first_out = next((n for n, kept in enumerate(within) if not kept), POINTS)
    best = float(alignment[:first_out].max())
    row = {
        "layers": ",".join(map(str, bench.vector.layers)),
        "unsteered": float(alignment[0]),
        "best_of_sweep": best,
        "strength": advised,
        "edge": edge,
        "edge_held_out": values["operating_point"],
        "verdicts": {each.key: each.verdict for each in found.findings},
        "law_errors": {name: value for name, value in values.items() if name.startswith("law_error")},
        "cpu_seconds": round(spent, 2),
    }
    if advised is None:
        # A refusal is right where the held-out half has nothing to gain within the budgets either.
        return row | {"holds": best <= float(alignment[0]) + MARGIN}
    return row | {
        "alignment": float(alignment[-1]),
        "loss": float(loss[-1]),
        "incoherence": coherence[-1],
        "holds": bool(
            alignment[-1] >= best - MARGIN and coherence[-1] <= config.coherence_budget and alignment[-1] > alignment[0]
        ),
    }


def main() -> int:
    """Runs the cases that are not there yet and writes them one by one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    for name in ("pairs", "behavior", "helpfulness"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.02, 0.05, 0.1, 0.3])
    parser.add_argument("--layers", nargs="+", default=["default", "1", "2", "3", "auto"])
    parser.add_argument("--to", type=Path, default=Path("benchmarks/results/steering-advice.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    record = json.loads(given.to.read_text()) if given.to.is_file() else {"cases": {}}
    record |= {"seqtant": seqtant.__version__, "torch": torch.__version__, "margin": MARGIN}
    data = {name: getattr(given, name) for name in ("pairs", "behavior", "helpfulness")}
    for layers in given.layers:
        for budget in given.budgets:
            for seed in given.seeds:
                key = f"{name_of(given.model)} layers={layers} budget={budget:g} seed={seed}"
                if key in record["cases"]:
                    continue
                config = ChooseConfig(
                    given.model, layers=None if layers == "default" else layers, budget=budget, seed=seed, **data
                )
                row = record["cases"][key] = case(config, seed)
                print(key, "holds" if row["holds"] else "MISSES", json.dumps(row)[:200], flush=True)
                given.to.write_text(json.dumps(record, indent=1) + "\n")
    missed = [key for key, row in record["cases"].items() if not row["holds"]]
    print(f"{len(record['cases']) - len(missed)} of {len(record['cases'])} hold; missed: {missed}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
