"""Recurrent and transformer states meet the shared protocol: normalized, causal, cached like uncached."""

import pytest
import torch

from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.sequential import RecurrentNetwork, TransformerNetwork, snake

SHAPE = (3, 3)
EVERYTHING = 1 - 2 * ((torch.arange(512)[:, None] >> torch.arange(9)) & 1)
MAKERS = {
    "recurrent": lambda g: RecurrentNetwork(SHAPE, 5, 4, g),
    "transformer": lambda g: TransformerNetwork(SHAPE, 2, 8, 4, heads=2, generator=g),
}


@pytest.fixture(params=list(MAKERS))
def network(request):
    return MAKERS[request.param](torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("magnetization", [None, 1])
@pytest.mark.parametrize("kind", ["complex"])
def test_normalized_and_cached_like_uncached(network, kind, magnetization):
    state = AutoregressiveState(network, kind, magnetization)
    assert abs(float(state.log_prob(EVERYTHING).detach().exp().sum()) - 1) < 1e-10
    spins, log_prob = state.sample(40, torch.Generator().manual_seed(2), return_log_prob=True)
    assert torch.allclose(state.log_prob(spins).detach(), log_prob, atol=1e-10)
    distinct, counts, log_distinct = state.sample_counts(300, torch.Generator().manual_seed(3))
    assert int(counts.sum()) == 300
    assert torch.allclose(state.log_prob(distinct).detach(), log_distinct, atol=1e-10)


def test_causal_in_the_order_of_visit_and_nothing_is_out_of_sight(network):
    order = getattr(network, "order", torch.arange(9)).tolist()
    spins = EVERYTHING[[37]].double()
    base = network.outputs(spins).detach()
    for step, place in enumerate(order):
        other = spins.clone()
        other[:, place] *= -1
        changed = (network.outputs(other) - base).abs().amax(dim=(0, 2)) > 1e-14
        assert not changed[: step + 1].any()
        assert changed[step + 1 :].all()


def test_the_snake_visits_every_site_once():
    assert sorted(snake((4, 5))) == list(range(20))
    assert snake((1, 4)) == [0, 1, 2, 3]


def test_weights_fit_other_lattices():
    for name, maker in (
        ("recurrent", lambda s: RecurrentNetwork(s, 5, 2)),
        ("transformer", lambda s: TransformerNetwork(s, 2, 8, 2)),
    ):
        small, large = maker((2, 2)), maker((3, 4))
        assert [p.shape for p in small.parameters()] == [p.shape for p in large.parameters()], name
