"""Recall and time of the index choices, all vectors asked for once: 100,000 of 384 dimensions by default.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/pretraining_search/run.py

Two sets of vectors: clustered ones of 64 latent dimensions, and nearly isotropic ones, the hard case. Exact search is
timed on a sample of queries and scaled. Writes ``benchmarks/results/pretraining_search.json``.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from seqtant.pretraining.retrieval.neighbors import build_index, exact_neighbors, recall, search_index
from seqtant.runs.recorder import environment

RESULTS = Path(__file__).parents[1] / "results" / "pretraining_search.json"
K = 10


def vectors(count: int, dimension: int, latent: int | None) -> np.ndarray:
    """Vectors of length 1: clustered in a latent space, or isotropic."""
    generator = np.random.default_rng(0)
    if latent is None:
        rows = generator.standard_normal((count, dimension))
    else:
        centers = generator.standard_normal((count // 100, latent))
        inside = centers[generator.integers(len(centers), size=count)] + 0.6 * generator.standard_normal(
            (count, latent)
        )
        rows = inside @ generator.standard_normal((latent, dimension)) / np.sqrt(latent)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def timed(make: Any) -> tuple[Any, float]:
    """What a call returns, and its CPU seconds."""
    started = time.process_time()
    made = make()
    return made, time.process_time() - started


def lists(rows: np.ndarray, kind: str, probes: int, sample: np.ndarray, queries: int) -> dict[str, float]:
    """Inverted lists of ours: build, ask for some, scale to all."""
    index, build = timed(lambda: build_index(rows, kind, probes=probes))  # type: ignore[arg-type]
    _, asking = timed(lambda: search_index(index, rows[:queries], K + 1))
    found = search_index(index, rows[sample], K + 1)
    return line(
        build, asking / queries, len(rows), float(recall(found, np.arange(len(sample)), rows, rows[sample], K).mean())
    )


def graph(rows: np.ndarray, sample: np.ndarray, queries: int) -> dict[str, float]:
    """A graph index of the same library, for comparison."""
    index = faiss.IndexHNSWFlat(rows.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = 100, 64
    _, build = timed(lambda: index.add(rows))
    _, asking = timed(lambda: search_index(index, rows[:queries], K + 1))
    found = search_index(index, rows[sample], K + 1)
    return line(
        build, asking / queries, len(rows), float(recall(found, np.arange(len(sample)), rows, rows[sample], K).mean())
    )


def line(build: float, per_query: float, count: int, found: float) -> dict[str, float]:
    """One row: build, rate, cost of asking for everything once, recall."""
    return {
        "build_cpu_seconds": build,
        "queries_per_second": 1 / per_query,
        "all_pairs_cpu_seconds": build + count * per_query,
        "recall_at_10": found,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--graph", action="store_true", help="also build a graph index (slow)")
    given = parser.parse_args()
    faiss.omp_set_num_threads(1)
    result: dict[str, Any] = {"count": given.count, "dimension": given.dimension, "sets": {}}
    for name, latent in (("clustered, 64 latent dimensions", 64), ("isotropic", None)):
        rows = vectors(given.count, given.dimension, latent)
        sample = np.random.default_rng(1).permutation(given.count)[:500]
        _, exact = timed(lambda r=rows: exact_neighbors(r[:1000], r, K + 1))
        found = {"exact": line(0.0, exact / 1000, given.count, 1.0)}
        for kind, probes in (("ivf", 4), ("ivf", 16), ("ivf", 64), ("pq", 16), ("pq", 64)):
            found[f"{kind}, {probes} probes"] = lists(rows, kind, probes, sample, 5000)
        if given.graph:
            found["HNSW16 (FAISS)"] = graph(rows, sample, 2000)
        result["sets"][name] = found
    result["environment"] = environment()
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["sets"], indent=1))


if __name__ == "__main__":
    main()
