"""Search against brute force in NumPy, duplicates, ties, and vectors that are none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seqtant.errors import InputError
from seqtant.pretraining.retrieval.neighbors import Neighbors, exact_neighbors, recall, search, sort_neighbors
from seqtant.pretraining.sections import NeighborSettings


def clustered(count: int, dimension: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centers = generator.standard_normal((count // 50, dimension))
    rows = centers[generator.integers(len(centers), size=count)] + 0.5 * generator.standard_normal((count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def brute_force(vectors: np.ndarray, k: int) -> np.ndarray:
    scores = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def test_exact_search_is_brute_force() -> None:
    vectors = clustered(300, 16)
    found = exact_neighbors(vectors, vectors, 8, rows=64)
    assert (found.ids == brute_force(vectors, 8)).all()
    assert np.allclose(found.similarity, np.take_along_axis(vectors @ vectors.T, found.ids, axis=1), atol=1e-6)


@pytest.mark.parametrize("index", ["ivf", "pq"])
def test_lists_find_nearly_all_and_recall_says_how_many(index: str) -> None:
    vectors = clustered(3000, 32)
    found = search(vectors, vectors, NeighborSettings(index=index, candidates=12, probes=6))  # type: ignore[arg-type]
    rows = np.arange(0, 3000, 30)
    shares = recall(found, rows, vectors, vectors, 8)
    truth = brute_force(vectors, 8)
    overlap = np.mean([len(set(found.ids[row, :8]) & set(truth[row])) / 8 for row in rows])
    assert shares.mean() > 0.9
    assert shares.mean() == pytest.approx(overlap, abs=0.02)


def test_recall_of_a_wrong_answer_is_low() -> None:
    vectors = clustered(300, 16)
    wrong = Neighbors(np.tile(np.arange(8), (300, 1)), np.full((300, 8), -0.5, dtype=np.float32))
    assert recall(wrong, np.arange(300), vectors, vectors, 8).mean() == 0


def test_recall_counts_duplicates_of_the_edge_but_nothing_farther() -> None:
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.98, math.sqrt(1 - 0.98**2)]], dtype=np.float32)
    shares = [
        recall(Neighbors(np.array([ids]), vectors[[0]] @ vectors[ids].T), np.array([0]), vectors, vectors[:1], 2)[0]
        for ids in ([0, 1], [0, 2], [0, 3], [3, 3])
    ]
    assert shares == [1, 1, 0.5, 0]


def test_ties_are_settled_by_number() -> None:
    found = sort_neighbors(np.array([[5, 2, 9, 1]]), np.array([[0.5, 0.5, 0.9, 0.5]]))
    assert found.ids.tolist() == [[9, 1, 2, 5]]


def test_a_corpus_of_one_and_of_duplicates() -> None:
    one = np.ones((1, 4), dtype=np.float32) / 2
    assert search(one, one, NeighborSettings()).ids.tolist() == [[0]]
    same = np.repeat(one, 20, axis=0)
    assert exact_neighbors(same, same, 20).ids.tolist() == [list(range(20))] * 20


@pytest.mark.parametrize("index", ["exact", "ivf", "pq"])
def test_vectors_that_are_not_finite_are_refused(index: str) -> None:
    vectors = clustered(400, 8)
    vectors[17, 3] = np.nan
    with pytest.raises(InputError, match="vector 17 holds a number that is not finite"):
        search(vectors, vectors, NeighborSettings(index=index))  # type: ignore[arg-type]
