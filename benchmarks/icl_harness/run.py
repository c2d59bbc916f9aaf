"""A sweep over shots, 0 to 16, on the same model and prompts as lm-evaluation-harness.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/icl_harness/run.py --peer PYTHON

200 prompts of 17 examples of a yes-or-no task are asked after every number of shots: 3,400 questions with two answers
each. Here every prompt is read once; there every number of shots is a run of its own, and its prompts are its own. The
harness is handed finished texts, so that only its scoring is timed. Contenders take turns; times are CPU seconds of one
thread. Log-likelihoods must agree to 1e-4 nats before anything counts. Writes ``benchmarks/results/icl_harness.json``
and the table of the README here.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from peer import Peer

from seqtant.icl.prompts.encoding import PromptEncoder
from seqtant.icl.prompts.tasks import Example, Task, reference_tasks
from seqtant.icl.scoring.scores import label_log_probs
from seqtant.lm import load, locate
from seqtant.report.markdown import put
from seqtant.runs.recorder import environment

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "results" / "icl_harness.json"
SHOTS, QUERIES, TOLERANCE = 16, 200, 1e-4
LABELS = ("yes", "no")


def make_prompts() -> tuple[Task, list[list[Example]]]:
    """A task of the reference world and its prompts, one example longer than the most shots."""
    tasks = reference_tasks(2 * QUERIES * (SHOTS + 1), np.random.default_rng(0))
    task = next(task for task in tasks if task.name == "is_big")
    examples = [example for example in task.examples if example.label in LABELS][: QUERIES * (SHOTS + 1)]
    return task, [examples[start : start + SHOTS + 1] for start in range(0, len(examples), SHOTS + 1)]


def as_texts(task: Task, prompts: list[list[Example]]) -> list[tuple[str, str]]:
    """Every prompt after every number of shots, with every label: what the harness scores."""
    pairs = []
    for prompt in prompts:
        for shots, query in enumerate(prompt):
            part = task.write(query)
            pairs += [(task.prompt(prompt[:shots]) + part.head, f" {label}") for label in LABELS]
    return pairs


def main() -> None:
    """Takes turns, compares, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer", required=True, help="Python of an environment with lm-eval")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    folder = locate("reference")
    assert folder is not None
    model = load("reference", device="cpu")
    task, prompts = make_prompts()
    encoder, pairs = PromptEncoder(model, LABELS), as_texts(task, prompts)
    load_at_start, ours, theirs, worst, version = os.getloadavg(), [], [], 0.0, ""
    peer = Peer(chosen.peer, folder)
    try:
        for repeat in range(chosen.repeats):
            for name in ("ours", "peer")[:: 1 if repeat % 2 == 0 else -1]:
                if name == "ours":
                    start = time.process_time()
                    rows = encoder.encode_prompts([task] * len(prompts), prompts)
                    scores = label_log_probs(model, rows)
                    ours.append(time.process_time() - start)
                else:
                    answer = peer.score(pairs)
                    theirs.append(answer["cpu_seconds"])
                    version = answer["version"]
            worst = max(worst, float(np.abs(np.array(answer["scores"]) - scores.ravel()).max()))
    finally:
        peer.close()
    assert worst < TOLERANCE, f"log-likelihoods differ by {worst} nats"
    record: dict[str, Any] = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(),
        "load_average_at_start": load_at_start,
        "queries": QUERIES,
        "shots": SHOTS,
        "log_likelihoods": len(pairs),
        "largest_difference_nats": worst,
        "seqtant": {"cpu_seconds": ours},
        "lm-eval": {"cpu_seconds": theirs, "version": version},
        "times_fewer_cpu_seconds": median(theirs) / median(ours),
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    write_table(record)


def write_table(record: dict[str, Any]) -> None:
    """Puts the numbers into the README between its marks."""
    rows = ["| way | CPU seconds, median [all] | times |", "| --- | ---: | ---: |"]
    base = median(record["lm-eval"]["cpu_seconds"])
    for name, title in (("lm-eval", f"lm-evaluation-harness {record['lm-eval']['version']}"), ("seqtant", "Seqtant")):
        taken = record[name]["cpu_seconds"]
        shown = ", ".join(f"{value:.2f}" for value in taken)
        rows.append(f"| {title} | {median(taken):.2f} [{shown}] | {base / median(taken):.1f} |")
    rows += ["", f"Largest difference of {record['log_likelihoods']} log-likelihoods: "
             f"{record['largest_difference_nats']:.1e} nats."]  # fmt: skip
    page = FOLDER / "README.md"
    page.write_text(put(page.read_text(encoding="utf-8"), "sweep", "\n".join(rows)), encoding="utf-8")


if __name__ == "__main__":
    main()
