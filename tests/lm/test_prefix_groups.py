"""Groups of sequences that begin alike, against every way to cut the sorted row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from seqtant.lm.layers import WORTH, PrefixGroup, prefix_groups


def cuts(row: list[int]) -> Iterator[list[list[int]]]:
    """All ways to cut a row into groups."""
    if not row:
        yield []
    for end in range(1, len(row) + 1):
        for rest in cuts(row[end:]):
            yield [row[:end], *rest]


def in_common(sequences: list[list[int]], most: list[int], group: list[int]) -> int:
    if len(group) == 1:
        return 0
    length = 0
    while length < min(most[row] for row in group) and len({sequences[row][length] for row in group}) == 1:
        length += 1
    return length


def cost(sequences: list[list[int]], most: list[int], division: list[list[int]]) -> int | None:
    """Tokens that are read; None where a group saves too little."""
    total = 0
    for group in division:
        shared = in_common(sequences, most, group)
        whole, saved = sum(len(sequences[row]) for row in group), (len(group) - 1) * shared
        if len(group) > 1 and (not shared or saved < WORTH * whole):
            return None
        total += whole - saved
    return total


@pytest.mark.parametrize("seed", range(12))
def test_no_cut_reads_fewer_tokens(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stems = [rng.integers(3, size=rng.integers(1, 9)).tolist() for _ in range(3)]
    sequences = [stems[rng.integers(3)] + rng.integers(3, size=rng.integers(1, 4)).tolist() for _ in range(6)]
    most = [int(rng.integers(0, len(ids))) for ids in sequences]
    found = prefix_groups(sequences, most)
    assert sorted(row for group in found for row in group.rows) == list(range(6))
    assert all(group.shared == in_common(sequences, most, group.rows) for group in found)
    row = sorted(range(6), key=lambda index: sequences[index][: most[index]])
    costs = [cost(sequences, most, division) for division in cuts(row)]
    assert cost(sequences, most, [group.rows for group in found]) == min(total for total in costs if total is not None)


def test_nothing_in_common_and_nothing_at_all() -> None:
    assert prefix_groups([], []) == []
    assert prefix_groups([[1, 2], [3, 4]], [1, 1]) == [PrefixGroup([0], 0), PrefixGroup([1], 0)]
    assert prefix_groups([[1], [1]], [0, 0]) == [PrefixGroup([0], 0), PrefixGroup([1], 0)], "the last token is scored"
