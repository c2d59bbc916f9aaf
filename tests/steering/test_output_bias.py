"""Steering by biases against steering by hooks: the same tokens, every bias given back, hooks wherever it matters."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import nn

from seqtant.errors import InputError
from seqtant.lm import generate, token_log_probs
from seqtant.lm.generation import Sampling
from seqtant.lm.hooks import decoder_blocks, read_blocks
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.steering.applying.output_bias import apply_steering_as_bias, bias_errors, is_rounding
from seqtant.steering.vectors.hooks import apply_steering
from seqtant.steering.vectors.vector import SteeringVector
from tests.lm.conftest import build
from tests.steering.samples import random_vector

GREEDY = Sampling(temperature=0.0)
IDS = torch.tensor([[0, 3, 4, 2, 3]])
WEIGHTS = {0: 0.5}
Push = SteeringVector


@pytest.fixture
def push() -> Push:
    return random_vector([0, 2], width=16)


@pytest.fixture
def llama() -> HuggingFaceLM:
    return build("llama")


def said(model: HuggingFaceLM) -> list[list[int]]:
    prompts = [[0, 3, 4], [0, 2, 3, 4, 3]]
    return [own.tokens for own in generate(model, prompts, max_tokens=8, sampling=GREEDY, stop_ids=[])]


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox", "qwen2", "qwen3", "mistral", "gptj", "bloom"])
def test_biases_are_hooks_to_rounding_and_are_given_back(family: str, push: Push) -> None:
    model = build(family)
    before = {name: weight.clone() for name, weight in model.model.state_dict().items()}
    parameters = {name: id(parameter) for name, parameter in model.model.named_parameters()}
    with apply_steering(model, push, 1.5, weights=WEIGHTS):
        expected, tokens = model.forward(IDS).logits, said(model)
        scores = token_log_probs(model, IDS.tolist())[0]
    with apply_steering_as_bias(model, push, 1.5, weights=WEIGHTS) as without_hooks:
        assert without_hooks
        torch.testing.assert_close(model.forward(IDS).logits, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(token_log_probs(model, IDS.tolist())[0], scores, atol=1e-5, rtol=1e-5)
        assert said(model) == tokens
    after = model.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert {name: id(parameter) for name, parameter in model.model.named_parameters()} == parameters
    assert not torch.allclose(model.forward(IDS).logits, expected, atol=1e-3), "the push must be seen"


def test_biases_are_given_back_after_an_error(llama: HuggingFaceLM, push: Push) -> None:
    before = list(llama.model.state_dict())
    for _ in range(2):  # the second time it must not be held still
        with pytest.raises(RuntimeError, match="halfway"), apply_steering_as_bias(llama, push, 1.5) as without_hooks:
            raise RuntimeError("halfway")
        assert without_hooks
        assert list(llama.model.state_dict()) == before


@pytest.mark.parametrize("inner_is_bias", [True, False])
def test_nested_pushes_act_in_the_order_they_were_opened(inner_is_bias: bool, llama: HuggingFaceLM, push: Push) -> None:
    other = random_vector([1, 2], width=16, seed=5)
    with apply_steering(llama, other, 2.0, keep_norm=inner_is_bias), apply_steering(llama, push, 1.5):
        expected = llama.forward(IDS).logits
    outer: Any = (
        apply_steering(llama, other, 2.0, keep_norm=True)
        if inner_is_bias
        else apply_steering_as_bias(llama, other, 2.0)
    )
    with outer, apply_steering_as_bias(llama, push, 1.5) as without_hooks:
        found = llama.forward(IDS).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not without_hooks, "whoever comes second steers by hooks"


def test_hooks_that_are_there_see_what_they_saw(llama: HuggingFaceLM, push: Push) -> None:
    seen: list[torch.Tensor] = []
    with read_blocks(llama, [2], lambda states, _call: seen.append(states)):
        with apply_steering(llama, push, 1.5):
            llama.forward(IDS)
        with apply_steering_as_bias(llama, push, 1.5):
            llama.forward(IDS)
    assert torch.equal(*seen)


def test_two_threads_do_not_take_each_others_biases(llama: HuggingFaceLM, push: Push) -> None:
    """The second comes while the first is inside and goes after it: a bias handed on would stay for ever."""
    before = {name: weight.clone() for name, weight in llama.model.state_dict().items()}
    inside, leave = threading.Event(), threading.Event()
    carried: list[bool] = []

    def second() -> None:
        with apply_steering_as_bias(llama, push, -1.0) as without_hooks:
            carried.append(without_hooks)
            inside.set()
            leave.wait(10)

    with apply_steering_as_bias(llama, push, 1.5) as without_hooks:
        assert without_hooks
        thread = threading.Thread(target=second)
        thread.start()
        assert inside.wait(10)
    assert carried == [False]
    leave.set()
    thread.join(10)
    after = llama.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def test_hooks_are_used_where_a_bias_is_not_the_same(push: Push) -> None:
    class Adapter(nn.Linear):
        """Stands for what adapters and quantizers put in the place of a matrix."""

    def adapted(model: HuggingFaceLM) -> None:
        mlp: Any = decoder_blocks(model)[2].mlp
        wrapped = Adapter(24, 16, bias=False)
        wrapped.weight = mlp.down_proj.weight
        mlp.down_proj = wrapped

    def shared(model: HuggingFaceLM) -> None:
        first, last = (decoder_blocks(model)[layer].mlp for layer in (1, 2))
        last.down_proj = first.down_proj  # type: ignore[union-attr]

    def offloaded(model: HuggingFaceLM) -> None:
        mlp: Any = decoder_blocks(model)[0].mlp
        mlp.down_proj.forward = mlp.down_proj.forward  # where weights are loaded when they are used

    for family, change in (("gemma2", None), ("llama", adapted), ("llama", shared), ("llama", offloaded)):
        model = build(family)
        if change:
            change(model)
        with apply_steering(model, push, 1.5):
            expected = model.forward(IDS).logits
        with apply_steering_as_bias(model, push, 1.5) as without_hooks:
            assert not without_hooks, change
            assert torch.equal(model.forward(IDS).logits, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_round_no_more_than_hooks(dtype: torch.dtype, push: Push) -> None:
    """Both against the same push in float64: a bias is rounded once with the sum, a hook rounds a second time."""
    exact, half = build("llama"), build("llama")
    half.model.to(dtype)
    exact.model.to(dtype).double()
    with apply_steering(exact, push, 1.5):
        expected = exact.forward(IDS).logits
    with apply_steering(half, push, 1.5):
        hooked = (half.forward(IDS).logits - expected).norm()
    with apply_steering_as_bias(half, push, 1.5) as without_hooks:
        assert without_hooks
        folded = (half.forward(IDS).logits - expected).norm()
    assert folded < 1.5 * hooked
    assert hooked < 20 * torch.finfo(dtype).eps * expected.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_norm_behind_the_matrix_is_told_in_every_type(dtype: torch.dtype) -> None:
    for family, same in (("gemma2", False), ("llama", True), ("gpt2", True)):
        model = build(family)
        model.model.to(dtype)
        errors = bias_errors(model, [0, 1, 2])
        assert [is_rounding(error, dtype) for error in errors.values()] == [same] * 3, (family, errors)
        assert same or min(errors.values()) > 0.3


def test_bad_calls_are_refused(llama: HuggingFaceLM, push: Push) -> None:
    for arguments, reason in (({"weights": {1: 1.0}}, "does not steer"), ({"strength": float("nan")}, "finite")):
        with pytest.raises(InputError, match=reason), apply_steering_as_bias(llama, push, **arguments):
            pass
    with pytest.raises(InputError, match="wide"), apply_steering_as_bias(llama, random_vector([0], width=8), 1.0):
        pass
