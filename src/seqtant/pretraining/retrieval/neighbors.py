"""Searches the nearest neighbors of every segment, measures the recall, and filters what is found.

Small corpora are searched exactly, larger ones by inverted lists: every vector is a query exactly once, so the cost is
that of building plus querying, where inverted lists beat graph indexes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from seqtant.errors import InputError
from seqtant.optional import require
from seqtant.pretraining.sections import FilterSettings, IndexKind, NeighborSettings
from seqtant.progress import SILENT, Progress

EXACT_UP_TO, LISTS_UP_TO = 20_000, 500_000
"""Number of vectors up to which ``auto`` searches exactly, and by inverted lists without compression."""
_LIST_LENGTH = 256
"""Vectors per inverted list: with lists of fixed length the cost per query does not grow with the corpus."""
_TRAINING_PER_LIST = 40
"""Vectors per list from which k-means learns the centroids."""
_REFINE = 10
"""Candidates per neighbor that product quantization hands to exact scoring."""


@dataclass(frozen=True)
class Neighbors:
    """Neighbors of each query, the most similar first."""

    ids: Int[np.ndarray, "queries k"]
    """Indices of the neighbors; -1 where there are fewer."""
    similarity: Float[np.ndarray, "queries k"]
    """Cosine similarities in float32; -1 where there is no neighbor."""


def choose_index(kind: IndexKind, vectors: int) -> IndexKind:
    """Chooses the index that ``auto`` means for a number of vectors.

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
    """Finds the exact nearest neighbors by inner product, block by block.

    Sorted by falling similarity, ties by index; fewer than k where there are fewer vectors.
    """
    import torch

    check_vectors(queries, vectors)
    k = min(k, len(vectors))
    table = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32)).T
    ids = np.empty((len(queries), k), dtype=np.int64)
    similarity = np.empty((len(queries), k), dtype=np.float32)
    bar = progress.task("neighbors", len(queries))
    for start in range(0, len(queries), rows):
        # [rows, dimension] @ [dimension, vectors]
        block = torch.from_numpy(np.ascontiguousarray(queries[start : start + rows], dtype=np.float32)) @ table
        # One more than wanted would not settle ties at the edge either; the order among equals is settled below.
        values, places = block.topk(k, dim=1)
        ids[start : start + rows], similarity[start : start + rows] = places.numpy(), values.numpy()
        bar.advance(len(block))
    bar.close()
    return sort_neighbors(ids, similarity)


def sort_neighbors(ids: np.ndarray, similarity: np.ndarray) -> Neighbors:
    """Sorts neighbors by falling similarity, ties by index, missing ones last: the same on every machine."""
    # Missing ones have similarity -1, the low end of a cosine: they come last.
    place = np.lexsort((ids, -similarity), axis=1)
    return Neighbors(np.take_along_axis(ids, place, axis=1), np.take_along_axis(similarity, place, axis=1))


def check_vectors(*arrays: np.ndarray) -> None:
    """Checks that vectors are finite: an index would accept NaN and silently return -1."""
    for array in arrays:
        if not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
            raise InputError(f"vector {row} holds a number that is not finite: check the encoder and its texts")


def build_index(vectors: Float[np.ndarray, "vectors dimension"], kind: IndexKind, *, probes: int = 16) -> Any:
    """Builds a FAISS index of inverted lists, of about 256 vectors each.

    ``ivf`` keeps the vectors as they are; ``pq`` scans 4-bit codes and refines with the vectors themselves.
    """
    faiss: Any = require("faiss", extra="retrieval")
    check_vectors(vectors)
    count, dimension = vectors.shape
    lists = max(1, count // _LIST_LENGTH)
    # Product quantization needs the number of sub-vectors to divide the dimension; four numbers each if possible.
    parts = next(parts for parts in range(max(1, dimension // 4), 0, -1) if dimension % parts == 0)
    recipe = f"IVF{lists},PQ{parts}x4fs,RFlat" if kind == "pq" else f"IVF{lists},Flat"
    index = faiss.index_factory(dimension, recipe, faiss.METRIC_INNER_PRODUCT)
    if kind == "pq":
        index.k_factor = _REFINE
    # Fixed seed, rounds and sample: the same vectors give the same lists on every run.
    coded = faiss.extract_index_ivf(index)
    coded.nprobe = min(probes, lists)
    coded.cp.seed, coded.cp.niter, coded.cp.spherical = 1234, 8, True
    coded.cp.min_points_per_centroid = 1
    sample = np.random.default_rng(0).permutation(count)[: max(_TRAINING_PER_LIST * lists, 4096)]
    index.train(np.ascontiguousarray(vectors[np.sort(sample)]))
    index.add(vectors)
    return index


def search_index(index: Any, queries: Float[np.ndarray, "queries dimension"], k: int) -> Neighbors:
    """Queries an index."""
    check_vectors(queries)
    similarity, ids = index.search(np.ascontiguousarray(queries, dtype=np.float32), k)
    missing = ids < 0
    return sort_neighbors(ids.astype(np.int64), np.where(missing, -1, similarity).astype(np.float32))


def recall(
    found: Neighbors,
    rows: Int[np.ndarray, " sample"],
    vectors: Float[np.ndarray, "vectors dimension"],
    queries: Float[np.ndarray, "queries dimension"],
    k: int,
) -> Float[np.ndarray, " sample"]:
    """Measures the recall: the share of the k true nearest neighbors that were found, per query of a sample.

    A neighbor as similar as the k-th true one counts: among duplicates no choice is wrong.
    """
    truth = exact_neighbors(queries[rows], vectors, k)
    # The margin covers rounding: any of several duplicates counts, whichever was returned.
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
    """Searches neighbors with the index that the settings choose; one more than asked for, as a query finds itself."""
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


@dataclass(frozen=True)
class Filtered:
    """Neighbors that passed the filters, and how many each filter removed."""

    neighbors: Neighbors
    """At most k per query, the most similar first; -1 where there are fewer."""
    dropped: dict[str, int]
    """Candidates that each rule removed, in the order in which the rules were applied."""
    least_similar: float
    """Similarity below which candidates were dropped."""


def filter_neighbors(
    found: Neighbors,
    queries: Int[np.ndarray, " queries"],
    document: Int[np.ndarray, " segments"],
    settings: FilterSettings,
    *,
    blocked: Bool[np.ndarray, " segments"] | None = None,
    capped: Bool[np.ndarray, " queries"] | None = None,
) -> Filtered:
    """Filters neighbors by one rule after the other.

    The segment itself is recognized by its id, not by its rank: among duplicates it may have any rank, or be missing.
    Only rows that are ``capped`` count towards the hub cap; the others (held-out queries) are not limited.

    Example:
        >>> found = Neighbors(np.array([[0, 1, 2], [1, 0, 2]]), np.array([[1.0, 0.99, 0.6], [1.0, 0.99, 0.5]]))
        >>> rules = FilterSettings(k=1, least_similar=0.0)
        >>> kept = filter_neighbors(found, np.array([0, 1]), np.array([0, 1, 2]), rules)
        >>> kept.neighbors.ids.tolist(), kept.dropped["near duplicate"]
        ([[2], [2]], 2)
    """
    ids, similarity = found.ids, found.similarity
    usable = ids >= 0
    dropped: dict[str, int] = {}

    def drop(rule: str, mask: np.ndarray) -> None:
        # Counted are only candidates that earlier rules left: the counts add up to the candidates.
        dropped[rule] = int((mask & usable).sum())
        usable[mask] = False

    drop("itself", ids == queries[:, None])
    if not settings.same_document:
        drop("same document", document[ids] == document[queries][:, None])
    drop("near duplicate", similarity > settings.most_similar)
    if blocked is not None:
        drop("in a test set", blocked[ids])
    if settings.one_per_document:
        # -1 marks unusable candidates: they stand for no document.
        source = np.where(usable, document[ids], -1)
        repeated = np.zeros(source.shape, dtype=bool)
        for column in range(1, source.shape[1]):
            repeated[:, column] = (source[:, :column] == source[:, column : column + 1]).any(axis=1)
        drop("document already there", repeated & (source >= 0))
    least = settings.least_similar
    if least is None:
        nearest = np.where(usable, similarity, -np.inf).max(axis=1, initial=-np.inf)
        nearest = nearest[np.isfinite(nearest)]
        least = float(np.percentile(nearest, settings.least_percentile)) if len(nearest) else -1.0
    drop("too unlike", similarity < least)
    kept = _under_cap(ids, similarity, usable, settings, capped)
    dropped["hub cap, or enough already"] = int(usable.sum() - kept.sum())
    # A stable sort by "not kept" moves the kept candidates to the left, in their order.
    place = np.argsort(~kept, axis=1, kind="stable")[:, : settings.k]
    stays = np.take_along_axis(kept, place, axis=1)
    neighbors = Neighbors(
        np.where(stays, np.take_along_axis(ids, place, axis=1), -1),
        np.where(stays, np.take_along_axis(similarity, place, axis=1), -1).astype(np.float32),
    )
    return Filtered(neighbors, dropped, least)


def _under_cap(
    ids: np.ndarray, similarity: np.ndarray, usable: np.ndarray, settings: FilterSettings, capped: np.ndarray | None
) -> np.ndarray:
    """Keeps k neighbors per row and at most ``hub_cap`` rows per neighbor: rank by rank, the more similar row first."""
    kept = np.zeros(ids.shape, dtype=bool)
    # Invariant: capacity[s] is how many more limited rows may keep segment s; counts[row] what a row has kept.
    capacity = np.full(int(ids.max(initial=-1)) + 1, settings.hub_cap, dtype=np.int64)
    counts = np.zeros(len(ids), dtype=np.int64)
    limited = np.ones(len(ids), dtype=bool) if capped is None else capped
    for column in range(ids.shape[1]):
        # Rows that are not limited (held-out queries) take their neighbor without using up its capacity.
        asking = usable[:, column] & (counts < settings.k)
        kept[:, column] = asking & ~limited
        rows = np.flatnonzero(asking & limited)
        wanted = ids[rows, column]
        order = np.lexsort((rows, -similarity[rows, column], wanted))
        sorted_ids = wanted[order]
        # Rank of each row among those that want the same segment, 0 for the most similar.
        firsts = np.flatnonzero(np.diff(sorted_ids, prepend=-1))
        # Rows are sorted by wanted segment: the place minus the place where its run begins.
        rank = np.arange(len(order)) - np.repeat(firsts, np.diff(np.append(firsts, len(order))))
        granted = rows[order[rank < capacity[sorted_ids]]]
        kept[granted, column] = True
        # Unbuffered: plain indexing would subtract once where several rows took one segment.
        np.subtract.at(capacity, ids[granted, column], 1)
        counts += kept[:, column]
    return kept


def save_filtered(found: Filtered, path: Path) -> None:
    """Writes filtered neighbors as safetensors, with the counts in the header."""
    from safetensors.numpy import save_file

    arrays = {"ids": found.neighbors.ids, "similarity": found.neighbors.similarity}
    save_file(arrays, path, metadata={"report": json.dumps([found.dropped, found.least_similar])})


def load_filtered(path: Path) -> Filtered:
    """Reads filtered neighbors."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        dropped, least = json.loads(file.metadata()["report"])
        return Filtered(Neighbors(file.get_tensor("ids"), file.get_tensor("similarity")), dropped, least)
