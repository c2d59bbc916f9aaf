"""Orders the same documents, from the same neighbors, by our tour and by In-Context Pretraining's published sorter.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/pretraining_tour/run.py --sorter PATH/TO/sort.py

``sort.py`` is the file of github.com/swj0419/in-context-pretraining. It cannot run as released: two modules that it
imports are stood in for here, the attribute that ``merge`` reads but nobody sets is set, and where its search for a
neighbor in another cluster gives None, the next columns are looked at. Nothing else is changed. Writes
``benchmarks/results/pretraining_tour.json``.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import pickle
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from seqtant.pretraining.retrieval.neighbors import Neighbors, search
from seqtant.pretraining.retrieval.ordering import stream_order, tour
from seqtant.pretraining.sections import NeighborSettings
from seqtant.runs.recorder import environment

RESULTS = Path(__file__).parents[1] / "results" / "pretraining_tour.json"


def documents(count: int, dimension: int) -> np.ndarray:
    """Clustered vectors of length 1: a hundred documents per center on average."""
    generator = np.random.default_rng(0)
    centers = generator.standard_normal((count // 100, dimension)).astype(np.float32)
    rows = centers[generator.integers(len(centers), size=count)]
    rows = rows + 0.7 * generator.standard_normal(rows.shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def published(sorter: Path, found: Neighbors, folder: Path) -> np.ndarray:
    """The order that the released sorter gives: its ``sort`` and ``merge``."""
    np.save(folder / "I0000000000_IVF32768_PQ256_np64.npy", found.ids)
    module = _load(sorter)

    class Sorter(module.sort_class):
        """The released class, able to run."""

        def output_first_doc_knn_not_in_the_cluster(self, knn: np.ndarray, cluster_id: int) -> tuple[Any, Any]:
            for other in knn[1:]:
                cluster = self.doc2cluster.get(int(other))
                if cluster not in (None, cluster_id) and other in self.cluster2docs[cluster]:
                    return other, cluster
            cluster = next(each for each in self.cluster2docs if each != cluster_id and self.cluster2docs[each])
            return self.cluster2docs[cluster][0], cluster

    made = Sorter([None] * len(found.ids), str(folder), 0, "text", "", str(folder), "")
    first = min(made.unseen_docs)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        made.sort()
        made.knns = made.all_knns[0]
        stored = pickle.loads((folder / "doc2cluster.pk").read_bytes())
        (folder / "doc2cluster.pk").write_bytes(pickle.dumps({first: 0} | stored))
        made.merge()
        return np.array(made.cluster2list(), dtype=np.int64)


def _load(sorter: Path) -> types.ModuleType:
    stands_in = types.ModuleType("check_match")
    stands_in.pickle_dump = lambda item, path: Path(path).write_bytes(pickle.dumps(item))  # type: ignore[attr-defined]
    stands_in.pickle_load = lambda path: pickle.loads(Path(path).read_bytes())  # type: ignore[attr-defined]
    debugger = types.ModuleType("ipdb")
    debugger.set_trace = breakpoint  # type: ignore[attr-defined]
    sys.modules |= {"check_match": stands_in, "ipdb": debugger}
    spec = importlib.util.spec_from_file_location("released_sorter", sorter)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def adjacent_similarity(order: np.ndarray, vectors: np.ndarray) -> float:
    """Mean cosine similarity of every two adjacent documents."""
    left, right = vectors[order[:-1]], vectors[order[1:]]
    return float((left.astype(np.float32) * right.astype(np.float32)).sum(axis=1).mean())


def measure(make: Callable[[], np.ndarray], vectors: np.ndarray, found: Neighbors) -> dict[str, float]:
    """Adjacent similarity, jumps, documents lost, CPU seconds."""
    started = time.process_time()
    order = make()
    seconds = time.process_time() - started
    listed = [set(row) for row in found.ids.tolist()]
    pairs = zip(order[:-1].tolist(), order[1:].tolist(), strict=True)
    apart = sum(right not in listed[left] and left not in listed[right] for left, right in pairs)
    return {
        "adjacent_similarity": adjacent_similarity(order, vectors),
        "not_neighbors_share": apart / (len(order) - 1),
        "documents": len(order),
        "missing": len(vectors) - len(np.unique(order)),
        "cpu_seconds": seconds,
        "documents_per_second": len(order) / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sorter", required=True, type=Path)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=64)
    given = parser.parse_args()
    vectors = documents(given.documents, given.dimension)
    found = search(vectors, vectors, NeighborSettings(index="ivf", candidates=20))
    contenders: dict[str, Callable[[], np.ndarray]] = {
        "seqtant tour": lambda: tour(found).order,
        "seqtant tour, one hop as published": lambda: tour(found, hops=1).order,
        "seqtant stream, buffer 2048": lambda: stream_order(vectors, buffer=2048),
        "random": lambda: np.random.default_rng(1).permutation(len(vectors)),
    }
    rows = {name: measure(make, vectors, found) for name, make in contenders.items()}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows["published sorter"] = measure(lambda: published(given.sorter, found, place), vectors, found)
    result = {"documents": given.documents, "dimension": given.dimension, "rows": rows, "environment": environment()}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
