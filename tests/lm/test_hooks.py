"""Editing and reading decoder blocks, against a bias folded into the weights and the library's own hidden states."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm import HuggingFaceLM, MarkovLM, Sampling, edit_blocks, generate, token_log_probs
from seqtant.lm.hooks import BlockCall, check_layers, decoder_blocks, depth, read_blocks, width
from seqtant.lm.interface import pad
from tests.lm.conftest import build

LAST_LINEAR = {
    "gpt2": "mlp.c_proj",
    "neox": "mlp.dense_4h_to_h",
    "opt": "fc2",
    "gptj": "mlp.fc_out",
    "bloom": "mlp.dense_4h_to_h",
    "gemma2": "post_feedforward_layernorm",
}
"""The submodule whose output is added to the residual stream last; ``mlp.down_proj`` where not named."""

LAYER = 1
VECTOR = torch.linspace(-2.0, 3.0, 16)


@pytest.mark.parametrize("how", ["module", "method", "function"])
def test_networks_that_ran_compiled_before_are_edited_too(how: str) -> None:
    """Compiled code does not look for hooks again: edits were ignored in silence, and so was a second one."""
    model, ids = build("llama"), torch.tensor([[1, 2, 3, 4]])
    network, plain = model.model, model.forward(ids).logits
    expected = []
    for strength in (1.0, -2.0):
        with edit_blocks(model, {LAYER: lambda states, _call, r=strength: states + r * VECTOR}):
            expected.append(model.forward(ids).logits)
    torch._dynamo.reset()
    target: Any = torch.compile(network, backend="eager") if how == "module" else network
    if how == "method":
        network.compile(backend="eager")
    run = torch.compile(network.forward, backend="eager") if how == "function" else target
    with torch.no_grad():
        assert torch.equal(run(ids).logits, plain)
        for strength, wanted in zip((1.0, -2.0), expected, strict=True):
            with edit_blocks(target, {LAYER: lambda states, _call, r=strength: states + r * VECTOR}):
                assert torch.equal(run(ids).logits, wanted)
                assert float((wanted - plain).abs().max()) > 0.1
        heard: list[Tensor] = []
        with read_blocks(target, [0, 1], lambda states, _call: heard.append(states)):
            run(ids)
        assert len(heard) == 2
        assert torch.equal(run(ids).logits, plain)


def fold(model: HuggingFaceLM, vector: Tensor) -> None:
    """Adds a constant to a block's output through the weights: what a steering hook must be equal to."""
    block = decoder_blocks(model)[LAYER]
    target = block.get_submodule(LAST_LINEAR.get(model.name, "mlp.down_proj"))
    if model.name == "gemma2":
        target.register_forward_hook(lambda _module, _inputs, output: output + vector)
    elif getattr(target, "bias", None) is None:
        target.bias = nn.Parameter(vector.clone(), requires_grad=False)
    else:
        target.bias.data += vector


def add(states: Tensor, call: BlockCall) -> Tensor:
    return states + VECTOR


@pytest.fixture
def twin(family: HuggingFaceLM) -> HuggingFaceLM:
    """The same network with the vector folded into its weights."""
    import copy

    other = HuggingFaceLM(copy.deepcopy(family.model), name=family.name)
    fold(other, VECTOR)
    return other


def test_an_edit_equals_a_folded_bias_in_every_row_of_a_batch(
    family: HuggingFaceLM, twin: HuggingFaceLM, sequences: list[list[int]]
) -> None:
    batch = pad([torch.tensor(ids) for ids in sequences], range(len(sequences)), family, side="left")
    plain = family.forward(batch.input_ids, batch.mask).logits
    with edit_blocks(family, {LAYER: add}):
        edited = family.forward(batch.input_ids, batch.mask).logits
    expected = twin.forward(batch.input_ids, batch.mask).logits
    real = batch.mask.bool()
    torch.testing.assert_close(edited[real], expected[real], atol=1e-5, rtol=1e-5)
    assert (edited - plain).abs().amax(dim=(1, 2)).min() > 0.05
    torch.testing.assert_close(family.forward(batch.input_ids, batch.mask).logits, plain, atol=0, rtol=0)


def test_an_edit_holds_under_the_cache_and_in_both_generations(
    family: HuggingFaceLM, twin: HuggingFaceLM, sequences: list[list[int]]
) -> None:
    batch = pad([torch.tensor(ids) for ids in sequences], range(len(sequences)), family, side="left")
    greedy = Sampling(temperature=0.0)
    options = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}
    expected = twin.model.generate(batch.input_ids, attention_mask=batch.mask, **options)
    own = generate(twin, sequences, max_tokens=6, sampling=greedy, stop_ids=[])
    with edit_blocks(family, {LAYER: add}):
        found = family.model.generate(batch.input_ids, attention_mask=batch.mask, **options)
        rows = generate(family, sequences, max_tokens=6, sampling=greedy, stop_ids=[])
    assert found.tolist() == expected.tolist()
    assert [row.tokens for row in rows] == [row.tokens for row in own] == expected[:, -6:].tolist()


def test_positions_count_real_tokens_through_padding_and_cache(family: HuggingFaceLM) -> None:
    seen: list[list[list[int]]] = []
    batch = pad([torch.tensor([0, 3, 4]), torch.tensor([0])], [0, 1], family, side="left")
    with read_blocks(family, [LAYER], lambda _states, call: seen.append(call.positions.tolist())):
        head = family.forward(batch.input_ids, batch.mask, use_cache=True)
        family.forward(torch.tensor([[2, 3], [4, 4]]), cache=head.cache)
        family.model.generate(batch.input_ids, attention_mask=batch.mask, max_new_tokens=2, eos_token_id=None)
        family.forward(torch.tensor([[0, 2]]))
        bare = family.forward(torch.tensor([[0, 2]]), use_cache=True)
        family.forward(torch.tensor([[4]]), cache=bare.cache)
        family.model(torch.tensor([[0, 2, 2]]), attention_mask=torch.tensor([[1, 1, 0]]))
    start, on = [[0, 1, 2], [-1, -1, 0]], [[3], [1]]
    assert seen == [start, [[3, 4], [1, 2]], start, on, [[0, 1]], [[0, 1]], [[2]], [[0, 1, -1]]]


def test_strengths_follow_the_callers_rows(family: HuggingFaceLM, sequences: list[list[int]]) -> None:
    """Scoring sorts rows by length and generation drops finished ones: each must keep its own strength."""
    strengths = torch.linspace(-1.0, 1.0, len(sequences))

    def steer(states: Tensor, call: BlockCall) -> Tensor:
        assert call.rows is not None
        return states + strengths[call.rows][:, None, None] * VECTOR

    seeds = list(range(len(sequences)))
    with edit_blocks(family, {LAYER: steer}):
        scores = token_log_probs(family, sequences, tokens_per_batch=20)
        texts = generate(family, sequences, max_tokens=8, seeds=seeds)
    for row, ids in enumerate(sequences):
        with edit_blocks(family, {LAYER: lambda states, _call, row=row: states + strengths[row] * VECTOR}):
            torch.testing.assert_close(token_log_probs(family, [ids])[0], scores[row], atol=1e-5, rtol=0)
            assert generate(family, [ids], max_tokens=8, seeds=[row])[0].tokens == texts[row].tokens


def test_block_outputs_are_the_librarys_hidden_states(family: HuggingFaceLM) -> None:
    ids = torch.tensor([[0, 2, 3, 4], [0, 4, 4, 2]])
    found: dict[int, Tensor] = {}
    with read_blocks(family, [0, 1], lambda states, call: found.update({call.layer: states})):
        expected = family.model(ids, output_hidden_states=True).hidden_states
    for layer in (0, 1):
        torch.testing.assert_close(found[layer], expected[layer + 1], atol=1e-6, rtol=1e-6)
    assert depth(family) == 3
    assert width(family) == 16


def test_only_chosen_positions_are_edited(family: HuggingFaceLM) -> None:
    ids = torch.tensor([[0, 2, 3, 4]])
    with edit_blocks(family, {-1: lambda states, call: states + VECTOR * (call.positions == 2)[..., None]}):
        edited = family.forward(ids).logits
    changed = (edited - family.forward(ids).logits).abs().amax(dim=-1)[0] > 1e-4
    assert changed.tolist() == [False, False, True, False]


def test_nested_edits_act_in_order_and_leave_no_trace_after_an_error(family: HuggingFaceLM) -> None:
    ids = torch.tensor([[0, 2, 3]])
    seen: list[Tensor] = []
    with (
        edit_blocks(family, {0: lambda states, _call: states * 0.0 + 1.0}),
        edit_blocks(family, {0: lambda states, _call: states + 2.0}),
        read_blocks(family, [0], lambda states, _call: seen.append(states)),
    ):
        family.forward(ids)
    assert torch.equal(seen[0], torch.full_like(seen[0], 3.0))
    plain = family.forward(ids).logits

    def fail(_states: Tensor, _call: BlockCall) -> Tensor:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), edit_blocks(family, {0: fail}):
        family.forward(ids)
    torch.testing.assert_close(family.forward(ids).logits, plain, atol=0, rtol=0)
    assert not decoder_blocks(family)[0]._forward_hooks


def test_gradients_reach_what_an_edit_adds(family: HuggingFaceLM) -> None:
    """The slope of a logit in the strength against a central difference.

    The tolerance is that of float32: several families take their norms in it even when the weights are float64.
    """
    family = HuggingFaceLM(family.model.double(), name=family.name)
    ids = torch.tensor([[0, 2, 3]])

    def logit(strength: Tensor | float) -> Tensor:
        with edit_blocks(family, {LAYER: lambda states, _call: states + strength * VECTOR.double()}):
            return family.forward(ids, keep=1).logits[0, 0, 3]

    strength = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(logit(strength), strength)
    difference = (logit(0.1 + 1e-2) - logit(0.1 - 1e-2)) / 2e-2
    assert abs(slope.item()) > 0.01
    assert slope.item() == pytest.approx(difference.item(), abs=3e-4)


def test_what_cannot_be_hooked_is_refused(family: HuggingFaceLM) -> None:
    with pytest.raises(InputError, match="layers 0 to 2"), edit_blocks(family, {3: add}):
        pass
    with pytest.raises(InputError, match="twice"):
        check_layers(family, [2, -1])
    with pytest.raises(InputError, match="shape"), edit_blocks(family, {0: lambda states, _call: states[:1]}):
        family.forward(torch.tensor([[0, 2], [0, 3]]))
    with pytest.raises(InputError, match="no layers"), edit_blocks(MarkovLM([1.0]), {0: add}):
        pass


def test_the_decoder_of_a_wrapper_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from seqtant.lm import huggingface

    found: list[nn.Module] = []
    find = huggingface.find_decoder
    monkeypatch.setattr(huggingface, "find_decoder", lambda network: found.append(network) or find(network))
    model = build("llama")
    with edit_blocks(model, {-1: add}):
        token_log_probs(model, [[1, 2, 3]])
    assert (depth(model), check_layers(model, [-1]), len(decoder_blocks(model))) == (3, [2], 3)
    assert found == [model.model]
    model.model = build("llama", seed=1).model
    assert decoder_blocks(model)[0] is model.model.model.layers[0], "another network has a decoder of its own"
    assert len(found) == 2
