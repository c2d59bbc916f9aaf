"""Oracles against enumeration: products of rows, sums over hidden paths, Bayes' rule over whole sequences."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqtant.errors import InputError
from seqtant.lm import HiddenMarkovLM, MarkovLM, MixtureLM, sequence_log_probs, token_log_probs
from seqtant.lm import interface as logits_module

seeds = st.integers(0, 2**31 - 1)


def rows(rng: np.random.Generator, *shape: int) -> np.ndarray:
    table = rng.random(shape) + 1e-3
    return table / table.sum(axis=-1, keepdims=True)


def hidden_path_probability(
    initial: np.ndarray, transitions: np.ndarray, emissions: np.ndarray, tokens: list[int]
) -> float:
    """The definition: a sum over every path of hidden states."""
    total = 0.0
    for path in product(range(len(initial)), repeat=len(tokens)):
        value = initial[path[0]] * emissions[path[0], tokens[0]]
        for before, after, token in zip(path, path[1:], tokens[1:], strict=False):
            value *= transitions[before, after] * emissions[after, token]
        total += value
    return total


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(1, 4), st.sampled_from([0.0, 0.01, 1.0]))
def test_hidden_markov_model_equals_the_sum_over_paths(seed: int, states: int, smoothing: float) -> None:
    rng = np.random.default_rng(seed)
    initial, transitions = rows(rng, states), rows(rng, states, states)
    emissions = np.concatenate([rows(rng, states, 3), np.zeros((states, 1))], axis=1)
    model = HiddenMarkovLM(initial, transitions, emissions, smoothing=smoothing, bos_id=3)
    tokens = rng.integers(0, 3, size=5).tolist()
    smoothed = (1 - smoothing) * transitions + smoothing / states
    expected = hidden_path_probability(initial, smoothed, emissions, tokens)
    assert sequence_log_probs(model, [[3, *tokens]]).item() == pytest.approx(math.log(expected), abs=1e-12)


def test_without_a_start_token_the_first_emission_is_observed() -> None:
    rng = np.random.default_rng(3)
    initial, transitions, emissions = rows(rng, 2), rows(rng, 2, 2), rows(rng, 2, 3)
    model = HiddenMarkovLM(initial, transitions, emissions)
    joint = hidden_path_probability(initial, transitions, emissions, [2, 0, 1])
    first = hidden_path_probability(initial, transitions, emissions, [2])
    assert sequence_log_probs(model, [[2, 0, 1]]).item() == pytest.approx(math.log(joint / first), abs=1e-12)


def test_the_start_token_begins_a_new_document() -> None:
    rng = np.random.default_rng(4)
    emissions = np.concatenate([rows(rng, 2, 3), np.zeros((2, 1))], axis=1)
    model = HiddenMarkovLM(rows(rng, 2), rows(rng, 2, 2), emissions, bos_id=3)
    fresh = token_log_probs(model, [[3, 1, 0]])[0]
    after = token_log_probs(model, [[3, 2, 2, 0, 3, 1, 0]])[0]
    torch.testing.assert_close(after[-2:], fresh, atol=1e-13, rtol=0)
    assert after[3] == -torch.inf


def test_the_filter_does_not_underflow_over_thousands_of_tokens() -> None:
    """Two states that both emit uniformly: log-probability is exactly -n log 4, though the product is 1e-1800."""
    model = HiddenMarkovLM([0.3, 0.7], [[0.9, 0.1], [0.5, 0.5]], [[0.25] * 4] * 2, bos_id=None)
    found = sequence_log_probs(model, [[0] * 3001]).item()
    assert found == pytest.approx(-3000 * math.log(4), rel=1e-12)


def test_evidence_against_a_state_is_kept_beyond_the_range_of_floats() -> None:
    """A thousand zeros make state 1 e^-2197 times less likely; as many ones bring it back to even."""
    model = HiddenMarkovLM([0.5, 0.5], np.eye(2), [[0.9, 0.1], [0.1, 0.9]])
    logits = model.forward(torch.tensor([[0] * 1000 + [1] * 1000]), keep=1).logits
    np.testing.assert_allclose(logits.exp().flatten().numpy(), [0.5, 0.5], atol=1e-9)


def test_smoothing_keeps_an_impossible_text_readable() -> None:
    cycle, emissions = [[0.0, 1.0], [1.0, 0.0]], np.eye(2)
    assert sequence_log_probs(HiddenMarkovLM([1, 0], cycle, emissions), [[0, 0, 1]]).item() == -torch.inf
    smoothed = HiddenMarkovLM([1, 0], cycle, emissions, smoothing=0.02)
    assert sequence_log_probs(smoothed, [[0, 0, 1]]).exp().item() == pytest.approx(0.01 * 0.99, abs=1e-14)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(0, 3))
def test_markov_chain_equals_the_product_of_its_rows(seed: int, order: int) -> None:
    rng = np.random.default_rng(seed)
    table = rows(rng, *[3] * (order + 1))
    model = MarkovLM(table, bos_id=1)
    tokens = rng.integers(0, 3, size=6).tolist()
    line = [1] * order + tokens
    expected = sum(math.log(table[tuple(line[order + t - order : order + t + 1])]) for t in range(1, 6))
    assert sequence_log_probs(model, [tokens]).item() == pytest.approx(expected, abs=1e-12)


def test_a_chain_with_its_own_start() -> None:
    model = MarkovLM.from_chain([0.3, 0.7], [[0.9, 0.1], [0.4, 0.6]])
    assert sequence_log_probs(model, [[2, 1, 0, 0]]).exp().item() == pytest.approx(0.7 * 0.4 * 0.9, abs=1e-14)
    assert sequence_log_probs(model, [[2, 1, 2]]).item() == -torch.inf


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(2, 3))
def test_mixture_equals_bayes_rule_over_whole_sequences(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [MarkovLM(rows(rng, *[3] * (2 + number % 2)), bos_id=0) for number in range(count)]
    prior = rows(rng, count)
    mixture = MixtureLM(parts, np.log(prior))
    ids = [0, *rng.integers(0, 3, size=6).tolist()]
    joints = np.array([[sequence_log_probs(part, [ids[: n + 1]]).exp().item() for part in parts] for n in range(7)])
    weighted = joints * prior
    assert sequence_log_probs(mixture, [ids]).exp().item() == pytest.approx(weighted[-1].sum(), rel=1e-11)
    expected = weighted / weighted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(mixture.posterior([ids])[0].exp().numpy(), expected, atol=1e-12)


def test_a_weight_of_e_to_the_minus_ninety_is_ordinary() -> None:
    """The rare component wins after enough tokens: 100 at a likelihood ratio of 9 outweigh e^-90."""
    mixture = MixtureLM([MarkovLM([0.9, 0.1]), MarkovLM([0.1, 0.9])], [-90.0, 0.0])
    weights = mixture.posterior([[0] * 101])[0][:, 0]
    odds = -90.0 + np.arange(101) * math.log(9.0)
    np.testing.assert_allclose(weights.numpy(), -np.log1p(np.exp(-odds)), rtol=1e-9, atol=1e-12)


def test_the_conditional_of_the_mixture_moves_from_one_component_to_the_other() -> None:
    mixture = MixtureLM([MarkovLM([0.9, 0.1]), MarkovLM([0.1, 0.9])], [math.log(0.01), math.log(0.99)])
    probability = mixture.forward(torch.tensor([[0] * 12])).logits[0, :, 0].exp()
    odds = 0.01 / 0.99 * 9.0 ** np.arange(12)
    np.testing.assert_allclose(probability.numpy(), (0.1 + 0.9 * odds) / (1 + odds), rtol=1e-12)


def test_a_token_that_no_component_can_make_scores_minus_infinity_and_moves_nothing() -> None:
    left, right = MarkovLM([0.5, 0.5, 0.0, 0.0]), MarkovLM([0.2, 0.0, 0.8, 0.0])
    mixture = MixtureLM([left, right], [math.log(0.5)] * 2)
    scores = token_log_probs(mixture, [[0, 0, 3, 0]])[0]
    expected = [0.35, 0.0, 0.5 / 0.7 * 0.5 + 0.2 / 0.7 * 0.2]
    np.testing.assert_allclose(scores.exp().numpy(), expected, atol=1e-12)
    decided = token_log_probs(mixture, [[0, 1, 2, 0]])[0]  # 1 rules out the right one, which alone can make 2
    np.testing.assert_allclose(decided.exp().numpy(), [0.25, 0.0, 0.5], atol=1e-12)
    weights = mixture.posterior([[0, 3, 0, 1]])[0].exp().numpy()  # what comes after the impossible token counts again
    np.testing.assert_allclose(weights, [[0.5, 0.5], [0.5, 0.5], [5 / 7, 2 / 7], [1.0, 0.0]], atol=1e-12)


def test_posterior_is_the_same_when_read_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    mixture = MixtureLM([MarkovLM(rows(rng, 3, 3)), MarkovLM(rows(rng, 3, 3))])
    ids = rng.integers(0, 3, size=20).tolist()
    whole = mixture.posterior([ids])[0]
    monkeypatch.setitem(logits_module._LOGITS_PER_PASS, "cpu", 24)
    torch.testing.assert_close(mixture.posterior([ids])[0], whole, atol=1e-13, rtol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MarkovLM([[0.5, 0.6], [0.5, 0.5]]), "sum to 1"),
        (lambda: MarkovLM([[0.5, 0.5]]), "one size"),
        (lambda: MarkovLM([[1.5, -0.5], [0.5, 0.5]]), "not negative"),
        (lambda: MarkovLM([[float("nan"), 1.0], [0.5, 0.5]]), "finite"),
        (lambda: MarkovLM(np.full((2, 2, 2), 0.5)), "bos_id"),
        (lambda: HiddenMarkovLM([1.0], [[0.5, 0.5]] * 2, [[1.0]]), "shapes"),
        (lambda: HiddenMarkovLM([1.0], [[1.0]], [[1.0]], smoothing=1.5), "smoothing"),
        (lambda: MixtureLM([MarkovLM([1.0])]), "at least two"),
        (lambda: MixtureLM([MarkovLM([0.5, 0.5]), MarkovLM([1.0])]), "share one tokenizer"),
        (lambda: MixtureLM([MarkovLM([0.5, 0.5])] * 2, [0.0, 0.0, 0.0]), "2 log weights"),
        (lambda: MixtureLM([MarkovLM([0.5, 0.5])] * 2, [-math.inf, -math.inf]), "finite"),
        (lambda: MixtureLM([MarkovLM([0.5, 0.5])] * 2, [0.0, math.nan]), "log weights"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(make, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_padding_is_not_read_even_where_no_start_token_resets_the_state() -> None:
    rng = np.random.default_rng(6)
    model = HiddenMarkovLM(rows(rng, 2), rows(rng, 2, 2), rows(rng, 2, 3))
    padded = model.forward(torch.tensor([[2, 2, 0, 1]]), torch.tensor([[0, 0, 1, 1]])).logits[:, 2:]
    torch.testing.assert_close(padded, model.forward(torch.tensor([[0, 1]])).logits, atol=1e-14, rtol=0)


def test_padding_on_the_right_is_refused() -> None:
    model = MarkovLM([[0.5, 0.5], [0.1, 0.9]])
    with pytest.raises(InputError, match="left"):
        model.forward(torch.tensor([[0, 1]]), torch.tensor([[1, 0]]))
