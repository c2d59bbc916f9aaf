"""Sampling: right frequencies, right log-probabilities, and rows that do not feel their neighbors."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seqtant.errors import InputError
from seqtant.lm import CausalLM, HuggingFaceLM, MarkovLM, Sampling, generate, sequence_log_probs, token_log_probs
from seqtant.lm.generation import draw, row_seeds, row_uniforms

GREEDY = Sampling(temperature=0.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_sampled_frequencies_match_the_probabilities(model: CausalLM) -> None:
    """Chi-square over all continuations of two tokens; with a fixed seed the outcome is fixed."""
    count = 3000
    made = generate(model, [[0, 3]], max_tokens=2, samples=count, generator=generator(1), stop_ids=[])
    seen = Counter(tuple(one.tokens) for one in made)
    every = list(product(range(model.vocabulary_size), repeat=2))
    expected = sequence_log_probs(model, [[0, 3, *pair] for pair in every]).exp()
    expected = count * (expected / sequence_log_probs(model, [[0, 3]]).exp()).numpy()
    common = expected >= 5
    found = np.array([seen[pair] for pair in every], dtype=float)
    observed = np.append(found[common], found[~common].sum())
    wanted = np.append(expected[common], expected[~common].sum())
    keep = wanted > 0
    wanted = wanted[keep] * observed[keep].sum() / wanted[keep].sum()
    assert stats.chisquare(observed[keep], wanted).pvalue > 1e-3


def test_a_row_does_not_feel_its_neighbors(model: CausalLM, sequences: list[list[int]]) -> None:
    seeds = list(range(100, 100 + len(sequences)))
    together = generate(model, sequences, max_tokens=8, seeds=seeds)
    for ids, seed, row in zip(sequences, seeds, together, strict=True):
        (alone,) = generate(model, [ids], max_tokens=8, seeds=[seed])
        assert alone.tokens == row.tokens
        assert alone.stopped == row.stopped
        torch.testing.assert_close(alone.log_probs, row.log_probs, atol=1e-5, rtol=0)
    small = generate(model, sequences, max_tokens=8, seeds=seeds, tokens_per_batch=1)
    assert [row.tokens for row in small] == [row.tokens for row in together]


def test_samples_of_one_prompt_share_its_reading_and_nothing_else(model: CausalLM) -> None:
    prompts, seeds = [[0, 2, 3, 3], [0, 4]], list(range(6))
    shared = generate(model, prompts, max_tokens=6, samples=3, seeds=seeds)
    single = generate(model, [prompts[0]] * 3 + [prompts[1]] * 3, max_tokens=6, seeds=seeds, tokens_per_batch=1)
    for one, other in zip(shared, single, strict=True):
        assert one.tokens == other.tokens
        torch.testing.assert_close(one.log_probs, other.log_probs, atol=1e-5, rtol=0)


def test_log_probs_are_those_of_scoring(model: CausalLM, sequences: list[list[int]]) -> None:
    tempered = Sampling(temperature=0.7, top_k=3)
    for ids, row in zip(
        sequences, generate(model, sequences, max_tokens=6, generator=generator(), sampling=tempered), strict=True
    ):
        scores = token_log_probs(model, [ids + row.tokens])[0][-len(row.tokens) :]
        torch.testing.assert_close(row.log_probs, scores, atol=1e-5, rtol=0)
        assert row.drawn_log_probs.shape == row.log_probs.shape


def test_same_generator_same_text(model: CausalLM) -> None:
    first, again, different = (
        [row.tokens for row in generate(model, [[0, 2]], max_tokens=12, samples=5, generator=generator(seed))]
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first != different


@pytest.mark.filterwarnings("ignore:The following generation flags are not valid")
def test_greedy_equals_transformers(family: HuggingFaceLM, sequences: list[list[int]]) -> None:
    found = generate(family, sequences, max_tokens=10, sampling=GREEDY)
    for ids, row in zip(sequences, found, strict=True):
        whole = family.model.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=10, do_sample=False
        )
        assert row.tokens == whole[0, len(ids) :].tolist()


def test_stop_tokens_end_a_row_but_not_before_the_least_length() -> None:
    always_one = MarkovLM([[0.0, 1.0, 0.0], [0.0, 0.9, 0.1], [0.5, 0.5, 0.0]])
    rows = generate(always_one, [[0]], max_tokens=50, samples=200, generator=generator(), stop_ids=[2])
    assert all(row.stopped == (row.tokens[-1] == 2) and 2 not in row.tokens[:-1] for row in rows)
    assert all(row.stopped for row in rows if len(row.tokens) < 50)
    assert np.mean([len(row.tokens) for row in rows]) == pytest.approx(11, abs=2)
    long = generate(always_one, [[0]], max_tokens=9, min_tokens=8, samples=50, generator=generator(), stop_ids=[2])
    assert {len(row.tokens) for row in long} == {9}
    assert all(2 not in row.tokens[:8] for row in long)


def test_lengths_without_a_stop_token_are_the_longest() -> None:
    (row,) = generate(MarkovLM([0.5, 0.5]), [[0]], max_tokens=7, generator=generator())
    assert len(row.tokens) == 7
    assert not row.stopped


def test_only_allowed_tokens_come_and_their_odds_stay() -> None:
    model = MarkovLM([0.5, 0.3, 0.1, 0.1])
    rows = generate(
        model, [[0]], max_tokens=2000, sampling=Sampling(allowed_ids=(1, 2)), generator=generator(5), stop_ids=[]
    )
    tokens = rows[0].tokens
    assert set(tokens) == {1, 2}
    assert stats.binomtest(tokens.count(1), len(tokens), 0.75).pvalue > 1e-3
    assert rows[0].drawn_log_probs.exp().numpy() == pytest.approx(np.where(np.array(tokens) == 1, 0.75, 0.25))
    assert rows[0].log_probs.exp().numpy() == pytest.approx(np.where(np.array(tokens) == 1, 0.3, 0.1))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31 - 1),
    st.sampled_from([0.5, 1.0, 1.7]),
    st.sampled_from([None, 1, 3, 50]),
    st.sampled_from([1.0, 0.9, 0.4, 1e-6]),
)
def test_truncation_equals_transformers(seed: int, temperature: float, top_k: int | None, top_p: float) -> None:
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    logits = torch.randn(4, 11, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2
    expected = TemperatureLogitsWarper(temperature)(torch.empty(0), logits)
    if top_k is not None:
        expected = TopKLogitsWarper(top_k)(torch.empty(0), expected)
    if top_p < 1.0:
        expected = TopPLogitsWarper(top_p)(torch.empty(0), expected)
    found = Sampling(temperature=temperature, top_k=top_k, top_p=top_p).log_probs(logits)
    torch.testing.assert_close(found.exp(), expected.softmax(dim=-1), atol=1e-12, rtol=0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=6), st.floats(0.0, 1.0, exclude_max=True))
def test_a_draw_inverts_the_cumulative_distribution(weights: list[float], uniform: float) -> None:
    if sum(weights) < 1e-6:
        weights[0] = 1.0
    probabilities = np.array(weights) / sum(weights)
    token = int(draw(torch.tensor(probabilities).log()[None], torch.tensor([uniform], dtype=torch.float64)))
    assert probabilities[token] > 0
    assert probabilities[:token].sum() <= uniform + 1e-12
    assert probabilities[: token + 1].sum() >= uniform - 1e-12


def test_the_largest_uniform_number_still_draws_a_possible_token() -> None:
    largest = torch.full((2000,), 1 - 2**-53, dtype=torch.float64)
    odds = torch.rand(2000, 7, generator=generator(), dtype=torch.float64) ** 8
    odds[:, 5:] = 0.0
    assert int(draw(odds.log_softmax(dim=-1), largest).max()) <= 6
    assert int(draw(odds.log(), largest).max()) <= 4


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="corrupt"):
        Sampling().log_probs(torch.tensor([[0.0, float("nan")]]))


def test_noise_belongs_to_the_seed_alone() -> None:
    assert torch.equal(row_uniforms([5, 6, 7], 9)[2], row_uniforms([7], 9)[0])
    assert torch.equal(row_uniforms([5], 9)[0, :4], row_uniforms([5], 4)[0])
    seeds = row_seeds(generator(), 1000)
    assert len(set(seeds)) == 1000
    assert stats.kstest(row_uniforms(seeds, 3).flatten().numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_tokens": 0}, "at least 1"),
        ({"max_tokens": 2, "min_tokens": 3}, "min_tokens"),
        ({"max_tokens": 2}, "randomness"),
        ({"max_tokens": 2, "seeds": [1, 2]}, "2 seeds for 1"),
        ({"max_tokens": 2, "stop_ids": [9], "seeds": [1]}, "stop_ids"),
        (
            {"max_tokens": 2, "sampling": Sampling(allowed_ids=(1,)), "seeds": [1], "stop_ids": [1], "min_tokens": 1},
            "left",
        ),
    ],
)
def test_what_cannot_be_generated_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        generate(MarkovLM([0.5, 0.5]), [[0]], **arguments)


def test_a_prompt_that_leaves_no_room_is_refused(family: HuggingFaceLM) -> None:
    if family.context_length is None:
        return
    with pytest.raises(InputError, match=f"at most {family.context_length}"):
        generate(family, [[0] * 60], max_tokens=5, sampling=GREEDY)


@pytest.mark.parametrize("fields", [{"temperature": -1}, {"top_k": 0}, {"top_p": 0.0}, {"allowed_ids": ()}])
def test_sampling_values_outside_their_range_are_refused(fields: dict) -> None:
    with pytest.raises(InputError):
        Sampling(**fields)
