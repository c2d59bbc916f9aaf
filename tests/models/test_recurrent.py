"""The Elman network against its own formula written out, and reading in pieces against reading at once."""

from __future__ import annotations

import pytest
import torch

from seqtant.errors import InputError
from seqtant.models.decoder import CachedDecoder
from seqtant.models.decoder_config import DecoderConfig
from seqtant.models.recurrent import RecurrentConfig, RecurrentNetwork


def test_elman_is_the_recurrence_of_the_paper():
    network = RecurrentNetwork(RecurrentConfig(vocabulary=2, width=16), generator=torch.Generator().manual_seed(3))
    weights = dict(network.named_parameters())
    tokens = torch.tensor([1, 0, 0, 1])
    hidden = torch.relu(weights["start"])
    for position, token in enumerate(tokens):
        hidden = torch.relu(weights["cell.weight_hh_l0"] @ hidden + weights["cell.weight_ih_l0"][:, token])
        score = hidden @ weights["readout"][:, 0]
        logits = network(tokens[None])[0, position]
        assert logits[0] == 0
        assert torch.allclose(logits[1], score, atol=1e-5)


def test_initial_scales_are_two_over_the_width_and_one():
    network = RecurrentNetwork(RecurrentConfig(vocabulary=2, width=400), generator=torch.Generator().manual_seed(0))
    weights = dict(network.named_parameters())
    assert float(weights["cell.weight_hh_l0"].detach().var()) == pytest.approx(2 / 400, rel=0.02)
    assert float(weights["readout"].detach().var()) == pytest.approx(1.0, rel=0.2)


def test_only_the_hidden_matrix_learns_where_the_theorem_says_so():
    network = RecurrentNetwork(RecurrentConfig(vocabulary=2, width=8, trained="recurrent"))
    assert [name for name, each in network.named_parameters() if each.requires_grad] == ["cell.weight_hh_l0"]


@pytest.mark.parametrize(
    "network",
    [
        RecurrentNetwork(RecurrentConfig(vocabulary=3, width=8)),
        RecurrentNetwork(RecurrentConfig(vocabulary=3, width=8, cell="lstm")),
        CachedDecoder(DecoderConfig(vocabulary=3, depth=2, width=8, heads=2, context=9)),
    ],
    ids=["elman", "lstm", "decoder"],
)
def test_reading_in_pieces_is_reading_at_once(network):
    tokens = torch.randint(3, (4, 9), generator=torch.Generator().manual_seed(1))
    whole = network(tokens)
    first, cache = network.extend(tokens[:, :5], None)
    second, cache = network.extend(tokens[:, 5:8], cache)
    rows = torch.tensor([2, 0])
    third, _ = network.extend(tokens[rows, 8:], network.select(cache, rows))
    assert torch.allclose(torch.cat([first, second], dim=1), whole[:, :8], atol=1e-5)
    assert torch.allclose(third, whole[rows, 8:], atol=1e-5)


def test_what_does_not_fit_is_refused():
    decoder = CachedDecoder(DecoderConfig(vocabulary=3, depth=1, width=8, heads=2, context=4))
    _, cache = decoder.extend(torch.zeros(1, 3, dtype=torch.long), None)
    with pytest.raises(InputError, match="5 tokens do not fit a context of 4"):
        decoder.extend(torch.zeros(1, 2, dtype=torch.long), cache)
    with pytest.raises(InputError, match="vocabulary 1"):
        RecurrentNetwork(RecurrentConfig(vocabulary=1, width=4))
