"""Packing against a plain best-fit-decreasing loop, the published example, and what packing must never do."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtant.errors import InputError
from seqtant.pretraining.examples.packing import Packing, pack, pack_lengths

LENGTHS = st.lists(st.integers(0, 60), min_size=1, max_size=60)


def plain_best_fit(sizes: list[int], window: int) -> list[int]:
    """Spaces left by the loop one would write first."""
    spaces: list[int] = []
    for size in sorted(sizes, reverse=True):
        fitting = [index for index, space in enumerate(spaces) if space >= size]
        if fitting:
            best = min(fitting, key=lambda index: spaces[index])
            spaces[best] -= size
        else:
            spaces.append(window - size)
    return sorted(spaces)


def used(packed: Packing) -> np.ndarray:
    return np.bincount(packed.sequence, weights=packed.length, minlength=packed.sequences).astype(int)


@settings(max_examples=150, deadline=None)
@given(LENGTHS, st.integers(1, 25))
def test_best_fit_is_that_of_the_plain_loop(lengths: list[int], window: int) -> None:
    packed = pack_lengths(np.array(lengths), window)
    pieces = [min(window, length - start) for length in lengths for start in range(0, length, window)]
    assert sorted((window - used(packed)).tolist()) == plain_best_fit(pieces, window)


@settings(max_examples=100, deadline=None)
@given(LENGTHS, st.integers(1, 25), st.sampled_from(["best-fit", "tour", "wrapped"]), st.integers(1, 12))
def test_every_token_is_kept_once_and_no_window_overflows(
    lengths: list[int], window: int, strategy: str, buffer: int
) -> None:
    packed = pack_lengths(np.array(lengths), window, strategy, buffer=buffer)  # type: ignore[arg-type]
    assert (used(packed) <= window).all()
    assert (np.diff(packed.sequence) >= 0).all()
    for document, length in enumerate(lengths):
        own = packed.document == document
        order = np.argsort(packed.start[own])
        starts, sizes = packed.start[own][order], packed.length[own][order]
        assert starts.tolist() == np.cumsum([0, *sizes])[:-1].tolist()
        assert sizes.sum() == length


def test_published_example() -> None:
    """Ding et al. 2024, figure 1: four windows, one document cut; concatenating and cutting cuts three."""
    best, wrapped = (pack_lengths(np.array([14, 7, 5, 2, 3]), 8, strategy) for strategy in ("best-fit", "wrapped"))
    assert (best.sequences, best.documents_cut) == (4, 1)
    assert (wrapped.sequences, wrapped.documents_cut) == (4, 3)
    assert used(wrapped).tolist() == [8, 8, 8, 7]


def test_wrapped_fills_all_windows_but_the_last() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 200)
    assert (used(pack_lengths(lengths, 32, "wrapped"))[:-1] == 32).all()


def test_tour_follows_the_order_and_closes_gaps_from_its_buffer_only() -> None:
    order = np.array([3, 1, 0, 2, 4])
    alone = pack_lengths(np.array([6, 6, 6, 6, 2]), 8, "tour", order=order, buffer=1)
    near = pack_lengths(np.array([6, 6, 6, 6, 2]), 8, "tour", order=order, buffer=5)
    assert alone.document.tolist() == [3, 1, 0, 2, 4]
    assert near.sequences == 4
    assert near.document[near.sequence == 0].tolist() == [3, 4]


def test_tour_keeps_neighbors_of_the_order_together() -> None:
    generator = np.random.default_rng(1)
    lengths = generator.integers(5, 40, 2000)
    order = generator.permutation(2000)
    place = np.argsort(order)
    apart = {}
    for strategy in ("tour", "best-fit"):
        packed = pack_lengths(lengths, 128, strategy, order=order)
        together = packed.sequence[1:] == packed.sequence[:-1]
        steps = np.abs(np.diff(place[packed.document]))[together]
        apart[strategy] = float(np.median(steps))
    assert apart["tour"] <= 3 < apart["best-fit"]
    assert pack_lengths(lengths, 128, "tour", order=order).fill > 0.97


@pytest.mark.parametrize("lengths", [np.array([3, -1]), np.array([1.5]), np.array([[1]])])
def test_lengths_that_are_none_are_refused(lengths: np.ndarray) -> None:
    with pytest.raises(InputError, match="whole numbers"):
        pack_lengths(lengths, 8)


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        pack_lengths(np.array([3]), 0)
    with pytest.raises(InputError, match="the window is '8'"):
        pack_lengths(np.array([3]), "8")  # type: ignore[arg-type]


def test_a_strategy_of_another_library_is_refused() -> None:
    with pytest.raises(InputError, match="no strategy 'bfd': use best-fit, tour, wrapped"):
        pack([[1]], 4, "bfd")  # type: ignore[arg-type]


@given(st.lists(st.lists(st.integers(0, 9), max_size=20), min_size=1, max_size=12), st.integers(1, 9))
def test_rows_of_token_ids_are_cut_and_joined_as_their_lengths_are(rows: list[list[int]], window: int) -> None:
    for strategy in ("best-fit", "tour", "wrapped"):
        packed = pack_lengths(np.array([len(row) for row in rows]), window, strategy)  # type: ignore[arg-type]
        pieces = zip(packed.sequence, packed.document, packed.start, packed.length, strict=True)
        wanted: list[list[int]] = [[] for _ in range(packed.sequences)]
        for sequence, document, start, length in pieces:
            wanted[sequence] += rows[document][start : start + length]
        assert pack(rows, window, strategy) == wanted  # type: ignore[arg-type]
        assert Counter(chain(*wanted)) == Counter(chain(*rows))


def test_packed_rows_literally() -> None:
    rows = [[1, 1, 1], [2, 2], [3, 3, 3, 3, 3], [4]]
    assert pack(rows, 4) == [[3, 3, 3, 3], [1, 1, 1, 3], [2, 2, 4]]
    assert pack(rows, 4, "wrapped") == [[1, 1, 1, 2], [2, 3, 3, 3], [3, 3, 4]]
    turned = pack([np.array(row) for row in rows], 4, "wrapped", order=[3, 1, 0, 2])
    assert turned == [
        [4, 2, 2, 1],
        [1, 1, 3, 3],
        [3, 3, 3],
    ]
    assert pack([[], [5]], 4) == [[5]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([5, 3], "row 1 is 5: give a list of token ids"),
        ([[1], [0.5]], "row 2 is"),
        (["text"], "row 1 is 'text'"),
        ([[1, [2]]], "row 1 is"),
        ("text", "are no rows of token ids"),
        (3, "are no rows of token ids"),
        (None, "are no rows of token ids"),
        ([], "there are no rows"),
    ],
)
def test_rows_that_hold_no_token_ids_are_refused(rows: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        pack(rows, 4)  # type: ignore[arg-type]
