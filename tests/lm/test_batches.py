"""Batches: every sequence once, within the budget, padded on the side asked for; bad ids refused."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqtant.errors import InputError
from seqtant.lm import MarkovLM, current_rows, log_prob_blocks, next_token_log_probs, reading_rows, token_log_probs
from seqtant.lm import batch_continuation_log_probs as continuations
from seqtant.lm.interface import group_by_length, kept_positions, pad

COIN = MarkovLM([0.5, 0.5], name="coin")


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 120), st.sampled_from([None, 1, 3]))
def test_groups_hold_every_sequence_once_within_the_budget(lengths: list[int], budget: int, rows: int | None) -> None:
    groups = group_by_length(lengths, budget, rows=rows)
    assert max(map(len, groups), default=0) <= (rows or 40)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[index] for index in group)
        assert len(group) == 1 or longest * len(group) <= budget
    spans = [(max(lengths[i] for i in group), min(lengths[i] for i in group)) for group in groups]
    assert all(shortest >= longest for (_, shortest), (longest, _) in itertools.pairwise(spans))


def test_padding_stands_on_the_side_asked_for() -> None:
    ids = [torch.tensor([1, 1, 1]), torch.tensor([1])]
    left, right = (pad(ids, [1, 0], COIN, side=side) for side in ("left", "right"))
    assert left.input_ids.tolist() == [[0, 0, 1], [1, 1, 1]]
    assert left.mask is not None
    assert left.mask.tolist() == [[0, 0, 1], [1, 1, 1]]
    assert right.input_ids.tolist() == [[1, 0, 0], [1, 1, 1]]
    assert right.rows.tolist() == [1, 0]
    assert pad(ids, [0, 0], COIN, side="left").mask is None


@pytest.mark.parametrize(
    ("sequences", "message"),
    [([[]], "empty"), ([[0], [0, 2]], "sequence 1 holds token 2"), ([[-1]], "token -1"), ([[[0, 1]]], "flat list")],
)
def test_sequences_that_cannot_be_read_are_refused(sequences: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        token_log_probs(COIN, sequences)


def test_a_sequence_longer_than_the_context_is_refused() -> None:
    short = MarkovLM([0.5, 0.5])
    short.context_length = 4
    assert token_log_probs(short, [[0] * 4])[0].numel() == 3
    with pytest.raises(InputError, match="at most 4"):
        token_log_probs(short, [[0] * 5])
    with pytest.raises(InputError, match="prefix 0 with its longest continuation needs 5"):
        continuations(short, [[0, 0]], [[[0], [0, 0, 0]]])
    with pytest.raises(InputError, match="reads at most 4"):
        list(log_prob_blocks([COIN, short], [[0] * 5]))


def test_no_sequences_no_scores() -> None:
    assert token_log_probs(COIN, []) == []
    assert continuations(COIN, [], []) == []
    assert [line.shape for line in next_token_log_probs(COIN, [[0]], [[]])] == [(0, 2)]


def test_lists_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(InputError, match="2 prefixes but 1"):
        continuations(COIN, [[0], [1]], [[[0]]])
    with pytest.raises(InputError, match="1 lists of positions for 2"):
        next_token_log_probs(COIN, [[0], [1]], [[0]])
    with pytest.raises(InputError, match="positions must lie"):
        next_token_log_probs(COIN, [[0]], [[1]])
    with pytest.raises(InputError, match="different vocabularies"):
        list(log_prob_blocks([COIN, MarkovLM([1.0])], [[0]]))


def test_kept_positions_must_be_there() -> None:
    for keep in (0, 4, torch.tensor([3]), torch.tensor([-1])):
        with pytest.raises(InputError):
            kept_positions(keep, 3, torch.device("cpu"))


def test_progress_counts_every_sequence_once() -> None:
    class Bar:
        done = 0.0

        def task(self, description: str, total: float | None = None) -> Bar:
            self.total = total
            return self

        def note(self, message: str) -> None: ...

        def advance(self, steps: float = 1) -> None:
            self.done += steps

        def show(self, **numbers: float) -> None: ...

        def close(self) -> None: ...

    for call in (
        lambda bar: token_log_probs(COIN, [[0, 1]] * 7, tokens_per_batch=5, progress=bar),
        lambda bar: continuations(COIN, [[0], [1]], [[[0]] * 3, [[1, 1]] * 4], progress=bar),
    ):
        bar = Bar()
        call(bar)
        assert bar.done == bar.total == 7


def test_rows_under_way_are_known_inside_only() -> None:
    assert current_rows() is None
    with reading_rows(torch.tensor([1])):
        rows = current_rows()
        assert rows is not None
        assert rows.tolist() == [1]
    assert current_rows() is None
