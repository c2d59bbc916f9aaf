"""Packs the same documents with Seqtant and with TRL's ``pack_dataset``, each in its own environment.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/pretraining_packing/run.py --peer PYTHON_OF_A_VENV_WITH_TRL

Both are given the tokens and return packed tokens as Arrow lists; times are CPU seconds of one process, medians of
repeats in turns. Writes ``benchmarks/results/pretraining_packing.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa

from seqtant.pretraining.examples.packing import pack_lengths
from seqtant.runs.recorder import environment

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "results" / "pretraining_packing.json"
WINDOW = 2048
STRATEGIES = {"best-fit": "bfd_split", "wrapped": "wrapped", "tour": None}


def lengths(documents: int) -> np.ndarray:
    """Log-normal document lengths, mean about 600 tokens, some longer than a window."""
    drawn = np.random.default_rng(0).normal(5.7, 1.18, documents)
    return np.maximum(1, np.round(np.exp(drawn))).astype(np.int64)


def packed_lists(sizes: np.ndarray, tokens: np.ndarray, strategy: str) -> tuple[pa.Array, int]:
    """Packs and gathers the tokens into one Arrow list per window."""
    packed = pack_lengths(sizes, WINDOW, strategy)  # type: ignore[arg-type]
    starts = (np.cumsum(sizes) - sizes)[packed.document] + packed.start
    if strategy == "wrapped":
        rows = slice(None)  # what is only cut stays in place
    else:
        before = np.repeat(np.cumsum(packed.length) - packed.length, packed.length)
        rows = np.arange(len(before)) - before + np.repeat(starts, packed.length)
    used = np.bincount(packed.sequence, weights=packed.length).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(used)])
    return pa.LargeListArray.from_arrays(offsets, pa.array(tokens[rows])), packed.documents_cut


def ours(sizes: np.ndarray, tokens: np.ndarray, repeats: int) -> dict[str, dict[str, float]]:
    """Sequences, fill, tokens kept, documents cut and CPU seconds of each strategy."""
    found = {}
    for strategy in STRATEGIES:
        seconds = []
        packed_lists(sizes, tokens, strategy)
        for _ in range(repeats):
            started = time.process_time()
            lists, cut = packed_lists(sizes, tokens, strategy)
            seconds.append(time.process_time() - started)
        kept = len(lists.flatten())
        found[f"seqtant {strategy}"] = row(len(sizes), len(lists), kept, seconds) | {"documents_cut": cut}
    return found


def row(documents: int, sequences: int, kept: int, seconds: list[float]) -> dict[str, float]:
    """The numbers that both sides report."""
    return {
        "sequences": sequences,
        "fill": kept / sequences / WINDOW,
        "tokens_kept": kept,
        "cpu_seconds": median(seconds),
        "documents_per_second": documents / median(seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True, help="Python of an environment with trl")
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    sizes = lengths(given.documents)
    tokens = np.arange(int(sizes.sum()), dtype=np.int32)
    order = [str(FOLDER / "peer.py"), str(given.documents), str(given.repeats)]
    answer = subprocess.run([given.peer, *order], capture_output=True, text=True, check=True)
    theirs = json.loads(answer.stdout.splitlines()[-1])
    result = {
        "documents": given.documents,
        "tokens": int(sizes.sum()),
        "longer_than_window": int((sizes > WINDOW).sum()),
        "window": WINDOW,
        "rows": ours(sizes, tokens, given.repeats)
        | {
            name: row(given.documents, each["sequences"], each["tokens_kept"], each["seconds"])
            for name, each in theirs["rows"].items()
        },
        "peer": theirs["versions"],
        "environment": environment(),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    json.dump(result["rows"], sys.stdout, indent=1)


if __name__ == "__main__":
    main()
