"""Which sequences begin alike, and how much of their beginnings is worth reading once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, takewhile

REACH = 64
"""Most sequences in a group: more save little, and a group is a batch at least."""
WORTH = 0.25
"""Share of a group's tokens that must be saved before reading in two steps pays for its second step."""


@dataclass(frozen=True)
class PrefixGroup:
    """Sequences with a common beginning."""

    rows: list[int]
    """Which sequences."""
    shared: int
    """Tokens at the beginning that all have in common and that are read once; 0 where each is read whole."""


def prefix_groups(sequences: Sequence[Sequence[int]], most: Sequence[int]) -> list[PrefixGroup]:
    """Groups sequences such that few tokens are read: each common beginning once, each rest by itself.

    Sorted by their beginnings, sequences stand beside those that they have most in common with; of all ways to cut that
    row into groups the one with the fewest tokens is taken.

    Args:
        sequences: Token ids.
        most: Per sequence, the longest beginning that may be shared.

    Returns:
        Groups that together hold every sequence once; those that share too little come as groups of one.

    Example:
        >>> prefix_groups([[1, 2, 3, 4], [7, 8], [1, 2, 3, 5]], [3, 1, 3])
        [PrefixGroup(rows=[0, 2], shared=3), PrefixGroup(rows=[1], shared=0)]
    """
    order = sorted(range(len(sequences)), key=lambda index: tuple(sequences[index][: most[index]]))
    common = [0, *(common_length([sequences[row][: most[row]] for row in both]) for both in pairwise(order))]
    ends = [0, *accumulate(len(sequences[index]) for index in order)]
    # Up to each place of the row: fewest tokens, where the last group starts, what it shares.
    best: list[tuple[int, int, int]] = [(0, 0, 0)]
    for end in range(1, len(order) + 1):
        options, shared = [], None
        for start in range(end - 1, max(-1, end - 1 - REACH), -1):
            whole = ends[end] - ends[start]
            saved = 0 if shared is None else (end - start - 1) * shared
            if saved >= WORTH * whole or shared is None:
                options.append((best[start][0] + whole - saved, start, shared or 0))
            shared = common[start] if shared is None else min(shared, common[start])
            if not shared:
                break
        best.append(min(options))
    groups: list[PrefixGroup] = []
    end = len(order)
    while end:
        _, start, shared = best[end]
        groups.append(PrefixGroup(order[start:end], shared))
        end = start
    return groups[::-1]


def common_length(sequences: Sequence[Sequence[int]]) -> int:
    """Tokens at the beginning that all sequences have in common.

    Example:
        >>> common_length([[1, 2, 3], [1, 2, 4, 5], [1, 2]])
        2
    """
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*sequences, strict=False)))
