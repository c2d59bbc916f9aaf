"""The tour against the published algorithm written plainly, and both orders against chance."""

from __future__ import annotations

import numpy as np
import pytest

from seqtant.pretraining.retrieval.neighbors import Neighbors, exact_neighbors
from seqtant.pretraining.retrieval.ordering import stream_order, symmetric_graph, tour


def clusters(count: int = 300, groups: int = 15, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centers = generator.standard_normal((groups, 12))
    rows = centers[generator.integers(groups, size=count)] + 0.4 * generator.standard_normal((count, 12))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def plain_tour(found: Neighbors, ranks: np.ndarray) -> tuple[list[int], int]:
    """In-Context Pretraining's algorithm 1 with dictionaries; ``ranks`` settles ties among starts."""
    count = len(found.ids)
    edges: list[dict[int, float]] = [{} for _ in range(count)]
    for here in range(count):
        for there, similarity in zip(found.ids[here].tolist(), found.similarity[here].tolist(), strict=True):
            if there not in (-1, here):
                edges[here][there] = max(edges[here].get(there, -9), similarity)
                edges[there][here] = max(edges[there].get(here, -9), similarity)
    degrees = [len(own) for own in edges]
    left = set(range(count))
    order: list[int] = []
    jumps = -1
    while left:
        here = min(left, key=lambda i: (degrees[i], ranks[i]))
        jumps += 1
        while here is not None:
            order.append(here)
            left.discard(here)
            open_edges = [(-s, i) for i, s in edges[here].items() if i in left]
            here = min(open_edges)[1] if open_edges else None
    return order, jumps


@pytest.mark.parametrize("seed", range(3))
def test_tour_is_the_published_algorithm(seed: int) -> None:
    vectors = clusters(seed=seed)
    found = exact_neighbors(vectors, vectors, 6)
    made = tour(found, seed=seed, hops=1)
    order, jumps = plain_tour(found, np.random.default_rng(seed).permutation(len(vectors)))
    assert made.order.tolist() == order
    assert made.jumps == jumps


def adjacent_similarity(order: np.ndarray, vectors: np.ndarray) -> float:
    """Mean cosine similarity of every two adjacent documents."""
    left, right = vectors[order[:-1]], vectors[order[1:]]
    return float((left.astype(np.float32) * right.astype(np.float32)).sum(axis=1).mean())


def test_a_second_hop_saves_jumps() -> None:
    vectors = clusters(400)
    found = exact_neighbors(vectors, vectors, 6)
    one, two = tour(found, hops=1), tour(found, hops=2)
    assert two.jumps < one.jumps
    assert adjacent_similarity(two.order, vectors) > adjacent_similarity(one.order, vectors)


def test_graph_is_symmetric_and_sorted_by_weight() -> None:
    vectors = clusters(80)
    graph = symmetric_graph(exact_neighbors(vectors, vectors, 5))
    dense = graph.toarray()
    assert (dense == dense.T).all()
    assert (np.diag(dense) == 0).all()
    for row in range(80):
        assert (np.diff(graph.data[graph.indptr[row] : graph.indptr[row + 1]]) <= 0).all()


def test_orders_visit_every_document_once_and_beat_chance() -> None:
    vectors = clusters()
    everything = list(range(len(vectors)))
    toured = tour(exact_neighbors(vectors, vectors, 8)).order
    streamed = stream_order(vectors, buffer=64)
    chance = adjacent_similarity(np.random.default_rng(0).permutation(300), vectors)
    for order in (toured, streamed):
        assert sorted(order.tolist()) == everything
        assert adjacent_similarity(order, vectors) > chance + 0.4


def test_stream_with_a_buffer_of_one_keeps_the_order() -> None:
    assert stream_order(clusters(40), buffer=1).tolist() == list(range(40))


def test_stream_never_reaches_beyond_its_buffer() -> None:
    order = stream_order(clusters(200), buffer=16)
    assert all(document < step + 16 for step, document in enumerate(order.tolist()))


def test_documents_without_neighbors_are_visited_too() -> None:
    alone = Neighbors(np.full((5, 2), -1), np.full((5, 2), -1.0))
    assert sorted(tour(alone).order.tolist()) == list(range(5))
    assert tour(alone).jumps == 4
