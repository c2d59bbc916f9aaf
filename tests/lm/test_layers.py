"""Partial runs: what is read equals a whole run, what is skipped is never computed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm import HuggingFaceLM, continue_from, edit_blocks, hidden_states, read_from, run_to_layer
from seqtant.lm.hooks import BlockCall, decoder_blocks
from seqtant.lm.huggingface import with_hidden
from seqtant.lm.interface import pad
from seqtant.lm.layers import BlockStates


def counted(model: HuggingFaceLM) -> dict[str, int]:
    """How often each block and the head are computed from now on."""
    calls: dict[str, int] = {"head": 0}

    def count(name: str, module: torch.nn.Module) -> None:
        calls[name] = 0
        forward = module.forward

        def counting(*inputs, **named):
            calls[name] += 1
            return forward(*inputs, **named)

        module.forward = counting

    for number, block in enumerate(decoder_blocks(model)):
        count(str(number), block)
    count("head", model.model.get_output_embeddings())
    return calls


def test_hidden_states_are_the_librarys(family: HuggingFaceLM, sequences: list[list[int]]) -> None:
    found = hidden_states(family, sequences, [1, 0], tokens_per_batch=20)
    chosen = [0, 3, -1, 2, -2, 1]
    at = hidden_states(family, sequences, [-2], positions=chosen)
    assert found.shape == (len(sequences), 2, 16)
    for row, ids in enumerate(sequences):
        expected = family.model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        torch.testing.assert_close(found[row, 0], expected[2][0, -1], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found[row, 1], expected[1][0, -1], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(at[row, 0], expected[2][0, chosen[row]], atol=1e-5, rtol=1e-5)


def test_nothing_above_the_highest_layer_is_computed(family: HuggingFaceLM) -> None:
    calls = counted(family)
    hidden_states(family, [[0, 2], [0, 3]], [0, 1])
    assert calls == {"0": 1, "1": 1, "2": 0, "head": 0}


def test_continuing_equals_a_whole_run(family: HuggingFaceLM, sequences: list[list[int]]) -> None:
    batch = pad([torch.tensor(ids) for ids in sequences], range(len(sequences)), family, side="left")
    whole = family.forward(batch.input_ids, batch.mask).logits
    assert batch.mask is not None
    real = batch.mask.bool()
    for layer in (0, 1, -1):
        states = run_to_layer(family, layer, batch.input_ids, batch.mask)
        found = family.head(continue_from(family, states)[real])
        torch.testing.assert_close(found, whole[real], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(family.forward(batch.input_ids, batch.mask).logits, whole, atol=0, rtol=0)


def test_a_sweep_shares_the_lower_blocks(family: HuggingFaceLM) -> None:
    """Three strengths for two prompts: one run below, three copies of the rows above, equal to three whole runs."""
    ids = torch.tensor([[0, 2, 3, 4], [0, 4, 4, 3]])
    strengths, vector = torch.tensor([-1.0, 0.5, 2.0]), torch.linspace(-1.0, 2.0, 16)
    expected = []
    for strength in strengths:
        push = strength * vector
        with edit_blocks(family, {1: lambda states, _call, push=push: states + push, 2: lambda s, _call: s * 1.1}):
            expected.append(family.forward(ids).logits)
    per_row = strengths.repeat_interleave(2)[:, None, None]

    def steer(states: Tensor, _call: BlockCall) -> Tensor:
        return states + per_row * vector

    calls = counted(family)
    states = run_to_layer(family, 1, ids).select_rows(torch.arange(2).repeat(3))
    with edit_blocks(family, {1: steer, 2: lambda states, _call: states * 1.1}):
        found = family.head(continue_from(family, states).flatten(0, 1))
    torch.testing.assert_close(found, torch.cat(expected).flatten(0, 1), atol=1e-5, rtol=1e-5)
    assert calls == {"0": 1, "1": 1, "2": 1, "head": 1}


def test_what_texts_begin_with_is_read_once(family: HuggingFaceLM) -> None:
    """Two beginnings of unlike length and three texts: their ends over copies of the keys equal whole runs."""
    beginnings, owner, ends = [[0, 2, 3], [4, 3]], [1, 0, 0], [[2, 4], [4, 3], [2, 2]]
    texts = [torch.tensor([beginnings[own] + end]) for own, end in zip(owner, ends, strict=True)]
    lower = [run_to_layer(family, 0, text).hidden for text in texts]
    first = pad([torch.tensor(ids) for ids in beginnings], [0, 1], family, side="left")
    below = run_to_layer(family, 0, first.input_ids, first.mask)
    rest = BlockStates(0, below.output, torch.tensor(ends), None)
    rest = replace(rest, output=with_hidden(below.output, torch.cat([states[:, -2:] for states in lower])))

    def steer(states: Tensor, call: BlockCall) -> Tensor:
        return states + torch.linspace(-1.0, 2.0, 16) * (call.positions >= 1)[..., None]

    with edit_blocks(family, {0: steer, 2: steer}):
        expected = torch.cat([family.forward(text, keep=2).logits for text in texts])
        calls = counted(family)
        cache = family.select_rows(read_from(family, below), torch.tensor(owner))
        found = family.head(continue_from(family, rest, cache=cache).flatten(0, 1))
    torch.testing.assert_close(found, expected.flatten(0, 1), atol=1e-5, rtol=1e-5)
    assert calls == {"0": 0, "1": 2, "2": 2, "head": 1}


def test_places_that_are_not_there_are_refused(family: HuggingFaceLM) -> None:
    with pytest.raises(InputError, match="no position 5"):
        hidden_states(family, [[0, 2]], [0], positions=[5])
    with pytest.raises(InputError, match="1 positions for 2"):
        hidden_states(family, [[0], [0]], [0], positions=[0])
    with pytest.raises(InputError, match="layers 0 to 2"):
        run_to_layer(family, 7, torch.tensor([[0]]))
