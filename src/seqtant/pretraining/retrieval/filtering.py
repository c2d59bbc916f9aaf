"""Which neighbors may stay: never the segment itself, and none that would teach copying, repeat, or leak a test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from seqtant.pretraining.retrieval.neighbors import Neighbors
from seqtant.pretraining.sections import FilterSettings


@dataclass(frozen=True)
class Filtered:
    """Neighbors that passed, and why the others did not."""

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
    """Applies the rules one after the other.

    Args:
        found: Candidates; their ids are segments.
        queries: Segment of each row. The segment itself is told by its number, not by its place: among duplicates it
            may stand anywhere, or be missing.
        document: Document of each segment.
        settings: The rules.
        blocked: Segments that share text with a test set.
        capped: Rows whose neighbors count towards the hub cap; the others (held-out queries) are not limited.

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
        dropped[rule] = int((mask & usable).sum())
        usable[mask] = False

    drop("itself", ids == queries[:, None])
    if not settings.same_document:
        drop("same document", document[ids] == document[queries][:, None])
    drop("near duplicate", similarity > settings.most_similar)
    if blocked is not None:
        drop("in a test set", blocked[ids])
    if settings.one_per_document:
        drop("document already there", _repeats(np.where(usable, document[ids], -1)))
    least = settings.least_similar
    if least is None:
        least = _percentile_of_nearest(similarity, usable, settings.least_percentile)
    drop("too unlike", similarity < least)
    kept = _under_cap(ids, similarity, usable, settings, capped)
    dropped["hub cap, or enough already"] = int(usable.sum() - kept.sum())
    return Filtered(_packed_left(ids, similarity, kept, settings.k), dropped, least)


def _repeats(values: np.ndarray) -> np.ndarray:
    """Entries of a row that an earlier entry of the row equals; negative ones count for nothing."""
    repeated = np.zeros(values.shape, dtype=bool)
    for column in range(1, values.shape[1]):
        repeated[:, column] = (values[:, :column] == values[:, column : column + 1]).any(axis=1)
    return repeated & (values >= 0)


def _percentile_of_nearest(similarity: np.ndarray, usable: np.ndarray, percentile: float) -> float:
    nearest = np.where(usable, similarity, -np.inf).max(axis=1, initial=-np.inf)
    nearest = nearest[np.isfinite(nearest)]
    return float(np.percentile(nearest, percentile)) if len(nearest) else -1.0


def _under_cap(
    ids: np.ndarray,
    similarity: np.ndarray,
    usable: np.ndarray,
    settings: FilterSettings,
    capped: np.ndarray | None,
) -> np.ndarray:
    """Keeps k per row and at most ``hub_cap`` rows per neighbor: rank by rank, the more similar row goes first."""
    kept = np.zeros(ids.shape, dtype=bool)
    room = np.full(int(ids.max(initial=-1)) + 1, settings.hub_cap, dtype=np.int64)
    counts = np.zeros(len(ids), dtype=np.int64)
    limited = np.ones(len(ids), dtype=bool) if capped is None else capped
    for column in range(ids.shape[1]):
        asking = usable[:, column] & (counts < settings.k)
        kept[:, column] = asking & ~limited
        rows = np.flatnonzero(asking & limited)
        wanted = ids[rows, column]
        order = np.lexsort((rows, -similarity[rows, column], wanted))
        sorted_ids = wanted[order]
        firsts = np.flatnonzero(np.diff(sorted_ids, prepend=-1))
        rank = np.arange(len(order)) - np.repeat(firsts, np.diff(np.append(firsts, len(order))))
        granted = rows[order[rank < room[sorted_ids]]]
        kept[granted, column] = True
        np.subtract.at(room, ids[granted, column], 1)
        counts += kept[:, column]
    return kept


def _packed_left(ids: np.ndarray, similarity: np.ndarray, kept: np.ndarray, k: int) -> Neighbors:
    place = np.argsort(~kept, axis=1, kind="stable")[:, :k]
    stays = np.take_along_axis(kept, place, axis=1)
    return Neighbors(
        np.where(stays, np.take_along_axis(ids, place, axis=1), -1),
        np.where(stays, np.take_along_axis(similarity, place, axis=1), -1).astype(np.float32),
    )


def in_degrees(ids: Int[np.ndarray, "queries k"], segments: int) -> Int[np.ndarray, " segments"]:
    """How often each segment is a neighbor: hubs are far above the mean.

    Example:
        >>> in_degrees(np.array([[1, -1], [1, 2]]), 3).tolist()
        [0, 2, 1]
    """
    return np.bincount(ids[ids >= 0], minlength=segments)


def save_filtered(found: Filtered, path: Path) -> None:
    """Writes filtered neighbors; the counts go into the header."""
    from safetensors.numpy import save_file

    arrays = {"ids": found.neighbors.ids, "similarity": found.neighbors.similarity}
    save_file(arrays, path, metadata={"report": json.dumps([found.dropped, found.least_similar])})


def load_filtered(path: Path) -> Filtered:
    """Reads filtered neighbors."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        dropped, least = json.loads(file.metadata()["report"])
        return Filtered(Neighbors(file.get_tensor("ids"), file.get_tensor("similarity")), dropped, least)
