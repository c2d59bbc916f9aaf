"""Orders documents so that similar ones are adjacent: along a tour of the neighbor graph, or from a bounded buffer.

The tour is that of In-Context Pretraining (Shi et al. 2024, arXiv:2310.10638, algorithm 1): start at an unvisited
document of least degree, go to the most similar unvisited neighbor, jump where there is none. The printed algorithm
says argmin of the similarity, its prose the highest weight; the prose is what makes sense and what is done here. Where
no neighbor is left, ``hops=2`` looks among the neighbors' neighbors before it jumps; ``hops=1`` is as published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from seqtant.pretraining.retrieval.neighbors import Neighbors

SparseGraph = Any
"""A square ``scipy.sparse.csr_matrix`` of weights; SciPy ships no types."""


@dataclass(frozen=True)
class Tour:
    """An order of all documents."""

    order: Int[np.ndarray, " documents"]
    """Every document once."""
    jumps: int
    """How often the tour started anew, because no neighbor was left unvisited."""


def symmetric_graph(found: Neighbors) -> SparseGraph:
    """Builds the undirected neighbor graph: an edge where either document is among the other's neighbors.

    Its weight is similarity + 2: a sparse matrix drops zeros. Edges of a document are sorted by falling weight.
    """
    count, k = found.ids.shape
    real = (found.ids >= 0) & (found.ids != np.arange(count)[:, None])
    rows = np.repeat(np.arange(count, dtype=np.int32), k)[real.ravel()]
    columns = found.ids.astype(np.int32).ravel()[real.ravel()]
    weights = found.similarity.astype(np.float32).ravel()[real.ravel()] + 2
    # The larger of both directions' weights: with approximate search they can differ.
    one_way: SparseGraph = sparse.csr_matrix((weights, (rows, columns)), shape=(count, count))
    graph = one_way.maximum(one_way.T).tocsr()
    graph.sort_indices()
    # By row, then falling weight, then index: every row stays where it is, its edges are sorted within it.
    owner = np.repeat(np.arange(count, dtype=np.int32), np.diff(graph.indptr))
    order = np.lexsort((graph.indices, -graph.data, owner))
    graph.indices, graph.data = graph.indices[order], graph.data[order]
    graph.has_sorted_indices = False
    return graph


def tour(found: Neighbors, *, seed: int = 0, hops: int = 2) -> Tour:
    """Visits every document once, going to the most similar unvisited neighbor.

    Args:
        found: Neighbors of each document; row i is document i.
        seed: Seed of the order among documents of equal degree.
        hops: 2 continues at a neighbor's neighbor where no neighbor is left; 1 jumps at once, as published.

    Example:
        >>> ring = Neighbors(np.array([[1], [2], [3], [0]]), np.array([[0.9], [0.8], [0.7], [0.1]]))
        >>> sorted(tour(ring).order.tolist()), tour(ring).jumps
        ([0, 1, 2, 3], 0)
    """
    graph = symmetric_graph(found)
    degrees = np.diff(graph.indptr)
    pointers = graph.indptr
    # Lonely documents first: later their only neighbors would be visited already.
    starts = np.lexsort((np.random.default_rng(seed).permutation(len(degrees)), degrees)).tolist()
    visited = bytearray(len(starts))
    order: list[int] = []
    jumps = 0
    # Invariant: ``order`` holds exactly the visited documents, and no start before ``start`` is unvisited.
    for start in starts:
        if visited[start]:
            continue
        jumps += bool(order)
        here = start
        while here >= 0:
            visited[here] = 1
            order.append(here)
            # As lists, one document at a time: those of all documents would take ten times the memory of the graph.
            near = graph.indices[pointers[here] : pointers[here + 1]].tolist()
            here = next((there for there in near if not visited[there]), -1)
            if here < 0 and hops > 1:
                far = (
                    there
                    for each in near
                    for there in graph.indices[pointers[each] : pointers[each + 1]].tolist()
                    if not visited[there]
                )
                here = next(far, -1)
    return Tour(np.array(order, dtype=np.int64), jumps)


def stream_order(vectors: Float[np.ndarray, "documents dimension"], *, buffer: int) -> Int[np.ndarray, " documents"]:
    """Orders documents from a bounded buffer: next is always the one most similar to the last. Needs no global index.

    After Zhao et al. 2024 (arXiv:2402.13991), who retrieve by words.

    Example:
        >>> vectors = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
        >>> stream_order(vectors, buffer=3).tolist()
        [0, 2, 1, 3]
    """
    count = len(vectors)
    size = min(buffer, count)
    held = np.arange(size)
    table = np.array(vectors[:size], dtype=np.float32)
    order = np.empty(count, dtype=np.int64)
    place = 0
    # Invariant: table[i] is the vector of document held[i]; an emptied place holds -1 and NaN, and scores -inf.
    for step in range(count):
        order[step] = held[place]
        # A copy, because the same place of the table is overwritten before the scores are computed.
        query = table[place].copy()
        arriving = size + step
        if arriving < count:
            held[place], table[place] = arriving, vectors[arriving]
        else:
            held[place], table[place] = -1, np.nan
        scores = np.where(held >= 0, table @ query, -np.inf)
        # Ties go to the document that arrived first.
        best = np.flatnonzero(scores == scores.max())
        place = int(best[np.argmin(held[best])])
    return order
