"""How the cost grows: neighbors, filter, tour and examples for 10,000 to 1,000,000 synthetic sentences.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/pretraining_scale/run.py [--sizes 10000 30000 100000]

Every size runs in a process of its own, so that its peak memory is its own. Vectors are clustered random ones, tokens
random; text is neither cut nor embedded here. Writes ``benchmarks/results/pretraining_scale.json``, with the slope of
log time against log size, and what the measured rates mean for a billion sentences.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from seqtant.pretraining.corpus.segments import Segments
from seqtant.pretraining.examples.examples import group_slices, sentence_groups, write_examples
from seqtant.pretraining.retrieval.neighbors import Neighbors, filter_neighbors, recall, search
from seqtant.pretraining.retrieval.ordering import tour
from seqtant.pretraining.sections import FilterSettings, NeighborSettings
from seqtant.runs.recorder import environment
from seqtant.stats.fits import fit_line

RESULTS = Path(__file__).parents[1] / "results" / "pretraining_scale.json"
STAGES = ("neighbors", "filter", "tour", "build")
WINDOW = 512


def corpus(count: int, dimension: int) -> tuple[Segments, np.ndarray]:
    """Synthetic sentences of 10 to 40 tokens, 20 to a document, and their vectors."""
    generator = np.random.default_rng(0)
    sizes = generator.integers(10, 41, count)
    segments = Segments(
        document=np.arange(count) // 20,
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        tokens=generator.integers(1, 30000, int(sizes.sum()), dtype=np.int32),
        hashes=np.arange(count).astype(np.uint64),
        eligible=np.ones(count, dtype=bool),
        blocked=np.zeros(count, dtype=bool),
        held_out=np.zeros(count, dtype=bool),
    )
    centers = generator.standard_normal((max(10, count // 100), dimension), dtype=np.float32)
    vectors = centers[generator.integers(len(centers), size=count)]
    vectors += 0.7 * generator.standard_normal((count, dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return segments, vectors


def one_size(count: int, dimension: int) -> dict[str, Any]:
    """Seconds of each stage, recall and peak memory."""
    segments, vectors = corpus(count, dimension)
    base = _peak_bytes()
    everything = np.arange(count)
    times: dict[str, dict[str, float]] = {}

    def stage(name: str, make: Any) -> Any:
        cpu, wall = time.process_time(), time.perf_counter()
        made = make()
        times[name] = {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - wall}
        return made

    found: Neighbors = stage("neighbors", lambda: search(vectors, vectors, NeighborSettings(candidates=20)))
    sample = np.random.default_rng(1).permutation(count)[:200]
    share = float(recall(found, sample, vectors, vectors, 8).mean())
    kept = stage("filter", lambda: filter_neighbors(found, everything, segments.document, FilterSettings()))
    order = stage("tour", lambda: tour(found))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "examples.parquet"

        def build() -> int:
            groups = sentence_groups(segments, everything, kept.neighbors, WINDOW)
            slices = group_slices(groups, segments, WINDOW)
            write_examples(slices, segments, 0, path)
            return slices.count

        examples = stage("build", build)
        size = path.stat().st_size
    return {
        "count": count,
        "stages": times,
        "recall_at_8": share,
        "jump_share": order.jumps / count,
        "examples": examples,
        "bytes_written": size,
        "peak_bytes": _peak_bytes(),
        "data_bytes": base,
    }


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Slopes of log CPU time against log size, and a billion sentences by the largest size's rates."""
    sizes = np.log([row["count"] for row in rows])
    total = [sum(row["stages"][name]["cpu_seconds"] for name in STAGES) for row in rows]
    slopes = {"all stages": float(fit_line(sizes, np.log(total)).estimate("slope").value)}
    for name in STAGES:
        spent = [max(1e-3, row["stages"][name]["cpu_seconds"]) for row in rows]
        slopes[name] = float(fit_line(sizes, np.log(spent)).estimate("slope").value)
    last, factor = rows[-1], 1e9 / rows[-1]["count"]
    hours = {name: last["stages"][name]["cpu_seconds"] * factor / 3600 for name in STAGES}
    return {
        "slopes": slopes,
        "billion_core_hours_if_linear": hours,
        "billion_bytes_written": last["bytes_written"] * factor,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 30_000, 100_000, 300_000, 1_000_000])
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--one", type=int)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one_size(given.one, given.dimension)))
        return
    rows = []
    for count in given.sizes:
        call = [sys.executable, __file__, "--one", str(count), "--dimension", str(given.dimension)]
        rows.append(
            json.loads(subprocess.run(call, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        )
        print(count, {name: round(rows[-1]["stages"][name]["cpu_seconds"], 1) for name in STAGES}, flush=True)
        if len(rows) >= 3:
            result = {"dimension": given.dimension, "rows": rows, **summary(rows), "environment": environment()}
            RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(summary(rows), indent=1))


if __name__ == "__main__":
    main()
