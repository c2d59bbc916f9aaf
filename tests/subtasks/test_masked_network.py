"""The masked network: against its own formula written as loops, blind to what comes later, and able to learn steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtant import subtasks
from seqtant.errors import InputError
from seqtant.runs.recorder import Context
from seqtant.subtasks.config import NetworkConfig, OptimizationConfig, TrainConfig
from seqtant.subtasks.networks.networks import MaskedNetwork

TOKENS = torch.tensor([[0, 1, 2, 1, 0], [2, 2, 1, 0, 0]])


def network(depth=2):
    return MaskedNetwork(3, width=4, depth=depth, context=6, generator=torch.Generator().manual_seed(5)).double()


def by_loops(model, row):
    weights = {name: each.detach().numpy() for name, each in model.named_parameters()}
    stream = [weights["embedding"][token] for token in row]
    for layer in range(len(model.layers)):
        mixing, bias, output = (weights[f"layers.{layer}.{name}"] for name in ("mixing", "bias", "output"))
        after = []
        for t in range(len(row)):
            hidden = [bias[t, c] + sum(mixing[c, t, s] * stream[s][c] for s in range(t + 1)) for c in range(4)]
            after.append(stream[t] + np.maximum(hidden, 0) @ output)
        stream = after
    return np.array(stream) @ weights["head"]


@pytest.mark.parametrize("depth", [1, 2])
def test_it_is_what_its_formula_says(depth):
    model = network(depth)
    expected = [by_loops(model, row) for row in TOKENS.tolist()]
    np.testing.assert_allclose(model(TOKENS).detach().numpy(), expected, atol=1e-12)


def test_later_tokens_change_nothing_and_a_cache_changes_nothing():
    model = network()
    whole = model(TOKENS)
    assert torch.allclose(model(TOKENS[:, :3]), whole[:, :3])
    first, cache = model.extend(TOKENS[:, :2], None)
    second, cache = model.extend(TOKENS[:, 2:4], cache)
    third, _ = model.extend(TOKENS[1:, 4:], model.select(cache, torch.tensor([1])))
    assert torch.allclose(torch.cat([first, second], dim=1), whole[:, :4])
    assert torch.allclose(third, whole[1:, 4:])


def test_a_text_longer_than_its_weights_is_refused():
    with pytest.raises(InputError, match="7 tokens do not fit a context of 6"):
        network()(torch.zeros(1, 7, dtype=torch.long))
    with pytest.raises(InputError, match="masked network has no recurrent matrix"):
        NetworkConfig(kind="masked", trained="recurrent")


def test_it_learns_the_steps_of_twenty_bits_in_seconds():
    config = TrainConfig(
        bits=20,
        network=NetworkConfig(kind="masked", width=32, depth=1),
        optimization=OptimizationConfig(learning_rate=0.006),
        updates=250,
        evaluate_every=250,
        test_rows=200,
    )
    assert subtasks.train.run(config, Context(device="cpu")).values["accuracy"] > 0.95
