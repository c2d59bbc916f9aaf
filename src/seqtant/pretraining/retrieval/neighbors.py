"""Nearest neighbors of every segment: exactly for small corpora, by inverted lists beyond, recall always measured.

Every vector is asked for exactly once, so what counts is building plus asking: inverted lists then beat graph indexes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from seqtant.errors import InputError
from seqtant.optional import require
from seqtant.pretraining.sections import IndexKind, NeighborSettings
from seqtant.progress import SILENT, Progress

EXACT_UP_TO, LISTS_UP_TO = 20_000, 500_000
"""Number of vectors up to which ``auto`` searches exactly, and by inverted lists without compression."""
_LIST_LENGTH = 256
"""Vectors per inverted list: with lists of fixed length the cost per query does not grow with the corpus."""
_TRAINING_PER_LIST = 40
_REFINE = 10


@dataclass(frozen=True)
class Neighbors:
    """Candidates of each query, the most similar first."""

    ids: Int[np.ndarray, "queries k"]
    """Numbers of the neighbors; -1 where there are fewer."""
    similarity: Float[np.ndarray, "queries k"]
    """Cosine similarities in float32; -1 where there is no neighbor."""


def choose_index(kind: IndexKind, vectors: int) -> IndexKind:
    """The index that ``auto`` means for so many vectors.

    Example:
        >>> [choose_index("auto", n) for n in (1000, 100_000, 1_000_000)]
        ['exact', 'ivf', 'pq']
    """
    if kind != "auto":
        return kind
    return "exact" if vectors <= EXACT_UP_TO else "ivf" if vectors <= LISTS_UP_TO else "pq"


def exact_neighbors(
    queries: Float[np.ndarray, "queries dimension"],
    vectors: Float[np.ndarray, "vectors dimension"],
    k: int,
    *,
    rows: int = 1024,
    progress: Progress = SILENT,
) -> Neighbors:
    """Exact nearest neighbors by inner product, block by block.

    Args:
        queries: Vectors of length 1.
        vectors: Vectors of length 1, searched.
        k: Neighbors per query; fewer if there are fewer vectors.
        rows: Queries per block.
        progress: Told how many queries are done.

    Returns:
        Neighbors sorted by falling similarity, ties by number.

    Raises:
        InputError: A vector is not finite.

    Example:
        >>> found = exact_neighbors(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32), 2)
        >>> found.ids.tolist()
        [[0, 1], [1, 0], [2, 0]]
    """
    import torch

    check_vectors(queries, vectors)
    k = min(k, len(vectors))
    table = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32)).T
    ids = np.empty((len(queries), k), dtype=np.int64)
    similarity = np.empty((len(queries), k), dtype=np.float32)
    bar = progress.task("neighbors", len(queries))
    for start in range(0, len(queries), rows):
        block = torch.from_numpy(np.ascontiguousarray(queries[start : start + rows], dtype=np.float32)) @ table
        # One more than wanted would not settle ties at the edge either; the order among equals is settled below.
        values, places = block.topk(k, dim=1)
        ids[start : start + rows], similarity[start : start + rows] = places.numpy(), values.numpy()
        bar.advance(len(block))
    bar.close()
    return in_order(ids, similarity)


def in_order(ids: np.ndarray, similarity: np.ndarray) -> Neighbors:
    """Neighbors by falling similarity, ties by number, missing ones last: the same on every machine."""
    place = np.lexsort((ids, -similarity), axis=1)
    return Neighbors(np.take_along_axis(ids, place, axis=1), np.take_along_axis(similarity, place, axis=1))


def check_vectors(*arrays: np.ndarray) -> None:
    """Refuses vectors that are not finite: an index would take them and answer -1 without a word.

    Raises:
        InputError: One is not.
    """
    for array in arrays:
        if not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
            raise InputError(f"vector {row} holds a number that is not finite: check the encoder and its texts")


def build_index(vectors: Float[np.ndarray, "vectors dimension"], kind: IndexKind, *, probes: int = 16) -> Any:
    """A FAISS index of inverted lists, of about 256 vectors each.

    Args:
        vectors: Vectors of length 1, float32.
        kind: ``ivf`` keeps the vectors as they are; ``pq`` scans 4-bit codes and refines with the vectors themselves.
        probes: Lists that are looked through per query.

    Raises:
        InputError: A vector is not finite, or there are too few for lists.
    """
    faiss: Any = require("faiss", extra="retrieval")
    check_vectors(vectors)
    count, dimension = vectors.shape
    lists = max(1, count // _LIST_LENGTH)
    parts = next(parts for parts in range(max(1, dimension // 4), 0, -1) if dimension % parts == 0)
    recipe = f"IVF{lists},PQ{parts}x4fs,RFlat" if kind == "pq" else f"IVF{lists},Flat"
    index = faiss.index_factory(dimension, recipe, faiss.METRIC_INNER_PRODUCT)
    if kind == "pq":
        index.k_factor = _REFINE
    coded = faiss.extract_index_ivf(index)
    coded.nprobe = min(probes, lists)
    coded.cp.seed, coded.cp.niter, coded.cp.spherical = 1234, 8, True
    coded.cp.min_points_per_centroid = 1
    sample = np.random.default_rng(0).permutation(count)[: max(_TRAINING_PER_LIST * lists, 4096)]
    index.train(np.ascontiguousarray(vectors[np.sort(sample)]))
    index.add(vectors)
    return index


def search_index(index: Any, queries: Float[np.ndarray, "queries dimension"], k: int) -> Neighbors:
    """Asks an index.

    Raises:
        InputError: A query is not finite.
    """
    check_vectors(queries)
    similarity, ids = index.search(np.ascontiguousarray(queries, dtype=np.float32), k)
    missing = ids < 0
    return in_order(ids.astype(np.int64), np.where(missing, -1, similarity).astype(np.float32))


def recall(
    found: Neighbors,
    rows: Int[np.ndarray, " sample"],
    vectors: Float[np.ndarray, "vectors dimension"],
    queries: Float[np.ndarray, "queries dimension"],
    k: int,
) -> Float[np.ndarray, " sample"]:
    """Share of the k true nearest neighbors that were found, per query of a sample.

    A neighbor as similar as the k-th true one counts: among duplicates no choice is wrong.
    """
    truth = exact_neighbors(queries[rows], vectors, k)
    edge = truth.similarity[:, -1:] - 1e-3
    hits = ((found.similarity[rows, :k] >= edge) & (found.ids[rows, :k] >= 0)).sum(axis=1)
    return np.minimum(hits / truth.ids.shape[1], 1.0)


def search(
    queries: Float[np.ndarray, "queries dimension"],
    vectors: Float[np.ndarray, "vectors dimension"],
    settings: NeighborSettings,
    *,
    progress: Progress = SILENT,
) -> Neighbors:
    """Neighbors by the index that the settings choose.

    Raises:
        InputError: A vector is not finite, or a library is missing.
    """
    k = min(settings.candidates + 1, len(vectors))
    kind = choose_index(settings.index, len(vectors))
    if kind == "exact":
        return exact_neighbors(queries, vectors, k, progress=progress)
    bar = progress.task("neighbors", len(queries))
    index = build_index(vectors, kind, probes=settings.probes)
    parts = []
    for start in range(0, len(queries), 16384):
        parts.append(search_index(index, queries[start : start + 16384], k))
        bar.advance(len(parts[-1].ids))
    bar.close()
    return Neighbors(np.concatenate([p.ids for p in parts]), np.concatenate([p.similarity for p in parts]))


def load_neighbors(path: Path) -> Neighbors:
    """Reads neighbors."""
    from safetensors.numpy import load_file

    stored = load_file(path)
    return Neighbors(stored["ids"], stored["similarity"].astype(np.float32))


def load_recall(path: Path) -> Float[np.ndarray, " sample"]:
    """Reads the recall of a sample of the queries."""
    from safetensors.numpy import load_file

    return load_file(path)["recall"]
