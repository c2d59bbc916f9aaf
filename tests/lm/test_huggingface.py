"""Each family of networks against the bare library: same logits, under padding, cache, window and both at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqtant.lm import HuggingFaceLM, batch_continuation_log_probs, edit_blocks, encode, generate, load, token_log_probs
from seqtant.lm.interface import pad


def bare(model: HuggingFaceLM, ids: list[int]) -> torch.Tensor:
    """What the library itself says, one sequence alone."""
    return model.model(torch.tensor([ids])).logits[0].float()


def test_logits_are_the_librarys(family: HuggingFaceLM, sequences: list[list[int]]) -> None:
    for ids, scores in zip(sequences, token_log_probs(family, sequences), strict=True):
        expected = bare(family, ids).log_softmax(dim=-1)[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        torch.testing.assert_close(scores.float(), expected, atol=1e-5, rtol=0)


def test_padding_and_cache_together_change_nothing(family: HuggingFaceLM, sequences: list[list[int]]) -> None:
    """Longer than the sliding window of those families that have one, in two cached steps."""
    batch = pad([torch.tensor(ids) for ids in sequences], range(len(sequences)), family, side="left")
    head = family.forward(batch.input_ids, batch.mask, keep=1, use_cache=True)
    rows = torch.tensor([5, 0, 3, 3])
    cache = family.select_rows(head.cache, rows)
    tail = torch.tensor([[2, 3, 4], [3, 3, 2], [4, 2, 2], [2, 2, 4]])
    first = family.forward(tail[:, :1], cache=cache, use_cache=True)
    rest = family.forward(tail[:, 1:], cache=first.cache)
    for line, row in enumerate(rows.tolist()):
        expected = bare(family, sequences[row] + tail[line].tolist())[-3:]
        found = torch.cat([first.logits[line], rest.logits[line]])
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


def test_the_head_makes_the_logits_from_the_final_states(family: HuggingFaceLM) -> None:
    """Also where logits are capped or scaled after the output matrix; on from a cache; and with blocks edited."""
    ids = torch.tensor([[0, 2, 3, 4], [0, 4, 4, 3]])
    whole = family.model(ids).logits
    states = family.hidden(ids)
    torch.testing.assert_close(family.head(states.flatten(0, 1)), whole.flatten(0, 1), atol=1e-6, rtol=1e-6)
    cache = family.forward(ids[:, :2], use_cache=True).cache
    rest = family.head(family.hidden(ids[:, 2:], cache=cache)[:, 1])
    torch.testing.assert_close(rest, whole[:, 3], atol=1e-5, rtol=1e-5)
    with edit_blocks(family, {1: lambda block, _call: block + torch.linspace(-1.0, 2.0, 16)}):
        edited = family.model(ids).logits
        torch.testing.assert_close(family.head(family.hidden(ids)[:, -1]), edited[:, -1], atol=1e-6, rtol=1e-6)
    assert (edited - whole).abs().max() > 1e-2


def test_the_tests_would_see_wrong_positions_and_masks(family: HuggingFaceLM) -> None:
    """Left padding without a mask must change the logits, else the tests above prove nothing."""
    padded = torch.tensor([[2, 2, 2, 0, 3, 4]])
    mask = torch.tensor([[0, 0, 0, 1, 1, 1]])
    right = family.forward(padded, mask, keep=1).logits
    wrong = family.forward(padded, keep=1).logits
    assert (right - wrong).abs().max() > 1e-2


@pytest.fixture(scope="module")
def stories(shared_data: Path) -> HuggingFaceLM:
    return load(shared_data / "stories260k")


TEXTS = [
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the sunshine.",
    "Tom and his dog went to the park.",
    "The end",
    "One day, a big bird saw a small fish in the river. The bird wanted to eat the fish, but the fish was fast.",
]


def test_a_trained_model_scores_as_in_the_bare_library(stories: HuggingFaceLM) -> None:
    sequences = encode(stories, TEXTS)
    assert all(ids[0] == stories.bos_id for ids in sequences)
    for ids, scores in zip(sequences, token_log_probs(stories, sequences), strict=True):
        expected = bare(stories, ids).log_softmax(dim=-1)[:-1].gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        torch.testing.assert_close(scores.float(), expected, atol=1e-5, rtol=0)
    perplexity = torch.cat(token_log_probs(stories, sequences)).mean().neg().exp()
    assert 2.0 < perplexity < 6.0


def test_a_trained_models_shared_prefix_and_sampling_agree_with_scoring(stories: HuggingFaceLM) -> None:
    prompts = encode(stories, [text[:30] for text in TEXTS])
    ends = [ids[1:8] for ids in encode(stories, TEXTS)]
    found = batch_continuation_log_probs(stories, prompts, [ends] * len(prompts))
    for prompt, lines in zip(prompts, found, strict=True):
        plain = token_log_probs(stories, [prompt + end for end in ends])
        for end, line, whole in zip(ends, lines, plain, strict=True):
            torch.testing.assert_close(line, whole[-len(end) :], atol=2e-5, rtol=0)
    made = generate(stories, prompts, max_tokens=40, generator=torch.Generator().manual_seed(0))
    for prompt, row in zip(prompts, made, strict=True):
        scores = token_log_probs(stories, [prompt + row.tokens])[0][-len(row.tokens) :]
        torch.testing.assert_close(row.log_probs, scores, atol=2e-5, rtol=0)
