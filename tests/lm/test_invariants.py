"""What must hold for every kind of model: probabilities sum to one, and no shortcut changes a score."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from seqtant.lm import (
    CausalLM,
    batch_continuation_log_probs,
    continuation_log_probs,
    log_prob_blocks,
    next_token_log_probs,
    sequence_log_probs,
    token_log_probs,
)
from seqtant.lm import interface as logits_module
from seqtant.lm.interface import pad

TOLERANCE = 1e-5


def plain(model: CausalLM, ids: list[int]) -> torch.Tensor:
    """Log-probabilities after each token, one sequence alone, no cache, no mask: what shortcuts are held against."""
    return torch.log_softmax(model.forward(torch.tensor([ids])).logits[0].double(), dim=-1)


def plain_scores(model: CausalLM, ids: list[int]) -> torch.Tensor:
    return plain(model, ids)[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a.double(), b.double(), atol=TOLERANCE, rtol=0.0)


def test_probabilities_of_all_short_sequences_sum_to_one(model: CausalLM) -> None:
    every = [[0, *rest] for rest in product(range(model.vocabulary_size), repeat=3)]
    assert sequence_log_probs(model, every).exp().sum().item() == pytest.approx(1.0, abs=TOLERANCE)


def test_models_are_not_uniform(model: CausalLM) -> None:
    """The other tests would see nothing in a model that gives every token the same probability."""
    last = plain(model, [0, 3, 4, 2])[-1].exp()
    assert last.max() - last.min() > 0.05


def test_batched_scores_equal_single_ones_in_the_callers_order(model: CausalLM, sequences: list[list[int]]) -> None:
    for tokens_per_batch in (1, 20, 10_000):
        scores = token_log_probs(model, sequences, tokens_per_batch=tokens_per_batch)
        assert [line.numel() for line in scores] == [len(ids) - 1 for ids in sequences]
        for ids, line in zip(sequences, scores, strict=True):
            close(line, plain_scores(model, ids))


def test_left_padding_changes_nothing(model: CausalLM, sequences: list[list[int]]) -> None:
    tensors = [torch.tensor(ids) for ids in sequences]
    batch = pad(tensors, range(len(tensors)), model, side="left")
    logits = model.forward(batch.input_ids, batch.mask).logits
    for line, ids in enumerate(sequences):
        close(torch.log_softmax(logits[line, -len(ids) :], dim=-1), plain(model, ids))


def test_cached_equals_uncached_also_under_padding(model: CausalLM, sequences: list[list[int]]) -> None:
    tensors = [torch.tensor(ids) for ids in sequences]
    batch = pad(tensors, range(len(tensors)), model, side="left")
    assert batch.mask is not None
    tail = [3, 4, 4, 2, 3]
    step = model.forward(batch.input_ids, batch.mask, keep=1, use_cache=True)
    for count in (2, 1, 2):
        new, tail_left = tail[:count], tail[count:]
        ids = torch.tensor([new] * len(sequences))
        step = model.forward(ids, cache=step.cache, use_cache=True)
        sequences = [[*line, *new] for line in sequences]
        for line, whole in enumerate(sequences):
            close(torch.log_softmax(step.logits[line], dim=-1), plain(model, whole)[-count:])
        tail = tail_left


def test_a_cache_is_a_value(model: CausalLM) -> None:
    head = model.forward(torch.tensor([[0, 2, 3]]), use_cache=True)
    first = model.forward(torch.tensor([[4, 4]]), cache=head.cache, use_cache=True).logits
    model.forward(torch.tensor([[2]]), cache=model.select_rows(head.cache, torch.tensor([0])), use_cache=True)
    again = model.forward(torch.tensor([[4, 4]]), cache=head.cache).logits
    torch.testing.assert_close(first, again, atol=0.0, rtol=0.0)


def test_selected_rows_of_a_cache_go_on_as_their_own_sequences(model: CausalLM) -> None:
    prefixes = [[0, 2, 3], [0, 4, 4]]
    cache = model.forward(torch.tensor(prefixes), use_cache=True).cache
    ends = [[3, 2], [4, 3], [2, 2]]
    owner = [1, 0, 1]
    logits = model.forward(torch.tensor(ends), cache=model.select_rows(cache, torch.tensor(owner))).logits
    for line, (end, own) in enumerate(zip(ends, owner, strict=True)):
        close(torch.log_softmax(logits[line], dim=-1), plain(model, prefixes[own] + end)[-2:])


@pytest.mark.parametrize("tokens_per_batch", [1, 25, 10_000])
def test_a_shared_prefix_equals_plain_scoring(
    model: CausalLM, sequences: list[list[int]], tokens_per_batch: int
) -> None:
    ends = [[[2], [3, 4], [4, 2, 3, 3, 2]], [], [[3]], [[2, 2]], [[4], [3]], [[2, 3, 4], [4, 3, 2]]]
    found = batch_continuation_log_probs(model, sequences, ends, tokens_per_batch=tokens_per_batch)
    for prefix, own, scores in zip(sequences, ends, found, strict=True):
        assert len(scores) == len(own)
        for end, line in zip(own, scores, strict=True):
            close(line, plain_scores(model, prefix + end)[-len(end) :])


def test_one_prefix_is_the_batch_of_one(model: CausalLM) -> None:
    ends = [[2, 3], [4], [4, 4, 4]]
    for end, line in zip(ends, continuation_log_probs(model, [0, 3], ends), strict=True):
        close(line, plain_scores(model, [0, 3, *end])[-len(end) :])


def test_one_pass_gives_every_prefix(model: CausalLM, sequences: list[list[int]]) -> None:
    wanted = [[-1], list(range(10)), [1, 0], [], [13, 2, 2], [5]]
    for ids, places, found in zip(sequences, wanted, next_token_log_probs(model, sequences, wanted), strict=True):
        assert found.shape == (len(places), model.vocabulary_size)
        for place, line in zip(places, found, strict=True):
            close(line, plain(model, ids[: place % len(ids) + 1])[-1])
    for ids, last in zip(sequences, next_token_log_probs(model, sequences), strict=True):
        close(last[0], plain(model, ids)[-1])


def test_few_logits_at_a_time_change_nothing(
    model: CausalLM, sequences: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(logits_module._LOGITS_PER_PASS, "cpu", 3 * model.vocabulary_size)
    for ids, line in zip(sequences, token_log_probs(model, sequences), strict=True):
        close(line, plain_scores(model, ids))
    everywhere = [range(len(ids)) for ids in sequences]
    for ids, found in zip(sequences, next_token_log_probs(model, sequences, everywhere), strict=True):
        close(found, plain(model, ids))
    for line in continuation_log_probs(model, sequences[0], [sequences[4][1:]]):
        close(line, plain_scores(model, sequences[0] + sequences[4][1:])[-line.numel() :])


def test_no_more_logits_are_held_than_allowed(
    model: CausalLM, sequences: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = 4 * model.vocabulary_size
    monkeypatch.setitem(logits_module._LOGITS_PER_PASS, "cpu", allowed)
    held = []
    forward, head = model.forward, model.head

    def watched(*inputs, **named):
        output = forward(*inputs, **named)
        held.append(output.logits.numel())
        return output

    def watched_head(hidden: torch.Tensor) -> torch.Tensor:
        logits = head(hidden)
        held.append(logits.numel())
        return logits

    monkeypatch.setattr(model, "forward", watched)
    monkeypatch.setattr(model, "head", watched_head)
    token_log_probs(model, sequences)
    next_token_log_probs(model, sequences, [range(len(ids)) for ids in sequences])
    list(log_prob_blocks([model], sequences))
    assert held
    assert max(held) <= allowed


def test_blocks_of_two_models_cover_every_scored_token_once(
    model: CausalLM, other: CausalLM, sequences: list[list[int]]
) -> None:
    totals = torch.zeros(2, len(sequences), dtype=torch.float64)
    for block in log_prob_blocks([model, other], sequences, tokens_per_batch=30):
        for number, log_probs in enumerate(block.log_probs):
            scores = log_probs.gather(-1, block.targets[..., None])[..., 0].double()
            totals[number].index_add_(0, block.rows, (scores * block.real).sum(dim=1))
    close(totals[0], sequence_log_probs(model, sequences))
    close(totals[1], sequence_log_probs(other, sequences))


@pytest.mark.parametrize("keep", [1, 3, "positions"])
def test_keeping_some_positions_keeps_those(model: CausalLM, keep: int | str) -> None:
    ids = torch.tensor([[0, 2, 4, 3], [0, 4, 4, 4]])
    whole = model.forward(ids).logits
    if keep == "positions":
        kept, expected = torch.tensor([0, 2]), whole[:, [0, 2]]
    else:
        kept, expected = keep, whole[:, -keep:]
    close(model.forward(ids, keep=kept).logits, expected)
