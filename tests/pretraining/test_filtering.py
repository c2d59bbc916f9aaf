"""Every rule against the loop one would write first, and against cases where the naive rule fails."""

from __future__ import annotations

import numpy as np
import pytest

from seqtant.pretraining.retrieval.neighbors import (
    Neighbors,
    exact_neighbors,
    filter_neighbors,
    load_filtered,
    save_filtered,
)
from seqtant.pretraining.sections import FilterSettings


def random_case(seed: int, count: int = 60) -> tuple[Neighbors, np.ndarray]:
    generator = np.random.default_rng(seed)
    vectors = generator.standard_normal((count, 5)).astype(np.float32)
    vectors[10:14] = vectors[9]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return exact_neighbors(vectors, vectors, 20), generator.integers(12, size=count)


@pytest.mark.parametrize("seed", range(5))
def test_rules_hold_for_every_neighbor_that_stays(seed: int) -> None:
    found, document = random_case(seed)
    rules = FilterSettings(k=4, most_similar=0.97, least_similar=0.2, hub_cap=3)
    queries = np.arange(len(document))
    blocked = queries % 7 == 0
    kept = filter_neighbors(found, queries, document, rules, blocked=blocked).neighbors
    for query, (ids, similarity) in enumerate(zip(kept.ids, kept.similarity, strict=True)):
        real = ids[ids >= 0]
        assert query not in real
        assert document[query] not in document[real]
        assert len(set(document[real])) == len(real)
        assert not blocked[real].any()
        assert ((similarity[ids >= 0] <= 0.97) & (similarity[ids >= 0] >= 0.2)).all()
        assert (np.diff(similarity[ids >= 0]) <= 0).all()
    assert np.bincount(kept.ids[kept.ids >= 0]).max() == 3


def test_without_a_cap_the_most_similar_usable_ones_stay() -> None:
    found, document = random_case(3)
    rules = FilterSettings(k=3, most_similar=0.97, least_similar=-1, hub_cap=10**6, one_per_document=False)
    kept = filter_neighbors(found, np.arange(60), document, rules).neighbors.ids
    for query in range(60):
        usable = [
            int(i)
            for i, s in zip(found.ids[query], found.similarity[query], strict=True)
            if i != query and document[i] != document[query] and s <= 0.97
        ]
        assert kept[query][kept[query] >= 0].tolist() == usable[:3]


def test_the_segment_itself_is_told_by_its_number() -> None:
    """Among duplicates it need not come first: dropping the first column would keep it."""
    found = Neighbors(np.array([[1, 2, 0]]), np.array([[1.0, 1.0, 1.0]]))
    rules = FilterSettings(k=3, most_similar=1.01, least_similar=0.0)
    assert filter_neighbors(found, np.array([0]), np.array([0, 1, 2]), rules).neighbors.ids.tolist() == [[1, 2, -1]]


def test_counts_add_up() -> None:
    found, document = random_case(1)
    result = filter_neighbors(found, np.arange(60), document, FilterSettings(k=2, hub_cap=2))
    kept = int((result.neighbors.ids >= 0).sum())
    assert kept + sum(result.dropped.values()) == found.ids.size


def test_hub_cap_grants_the_more_similar_row() -> None:
    found = Neighbors(np.array([[2], [2]]), np.array([[0.6], [0.8]]))
    kept = filter_neighbors(
        found, np.array([0, 1]), np.array([0, 1, 2]), FilterSettings(k=1, hub_cap=1, least_similar=0.0)
    )
    assert kept.neighbors.ids.tolist() == [[-1], [2]]


def test_held_out_queries_use_no_capacity() -> None:
    found = Neighbors(np.array([[2], [2]]), np.array([[0.6], [0.8]]))
    kept = filter_neighbors(
        found,
        np.array([0, 1]),
        np.array([0, 1, 2]),
        FilterSettings(k=1, hub_cap=1, least_similar=0.0),
        capped=np.array([True, False]),
    )
    assert kept.neighbors.ids.tolist() == [[2], [2]]


def test_round_trip(tmp_path) -> None:
    found, document = random_case(2)
    result = filter_neighbors(found, np.arange(60), document, FilterSettings(k=2))
    save_filtered(result, tmp_path / "filtered.safetensors")
    back = load_filtered(tmp_path / "filtered.safetensors")
    assert (back.neighbors.ids == result.neighbors.ids).all()
    assert (back.dropped, back.least_similar) == (result.dropped, result.least_similar)
