"""The paths of a causal state agree with each other, and its probabilities with enumeration."""

import pytest
import torch
from scipy import stats

from seqtant.errors import InputError
from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.causal_state import CausalState, cheaper
from seqtant.models.wavefunctions.propagation import Plan, group_moves
from seqtant.models.wavefunctions.stacks import dilated_chain, light_two_stack, paper_two_stack, single_stack

MAKERS = {
    "light": (lambda out: light_two_stack(3, 6, out), (3, 4)),
    "paper": (lambda out: paper_two_stack(3, 4, out), (4, 3)),
    "single": (lambda out: single_stack(3, 5, out), (4, 3)),
    "chain": (lambda out: dilated_chain(4, 6, out), (1, 12)),
}
KINDS = ["positive", "real", "complex"]


def make(name, kind="positive", magnetization=None, dtype=torch.float64):
    maker, shape = MAKERS[name]
    network = CausalNetwork(maker(4 if kind == "complex" else 2), shape, torch.Generator().manual_seed(7)).to(dtype)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(8))
            parameter.add_(0.1 * noise.to(dtype))
    return CausalState(network, kind, magnetization)


def everything(sites):
    return 1 - 2 * ((torch.arange(2**sites)[:, None] >> torch.arange(sites)) & 1)


@pytest.mark.parametrize("magnetization", [None, 0, 4])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MAKERS)
def test_probabilities_sum_to_one(name, kind, magnetization):
    state = make(name, kind, magnetization)
    spins = everything(state.sites)
    log_prob = state.log_prob(spins).detach()
    assert abs(float(log_prob.exp().sum()) - 1) < 1e-10
    if magnetization is not None:
        assert (log_prob[spins.sum(1) != magnetization] == -torch.inf).all()


@pytest.mark.parametrize("magnetization", [None, 0])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MAKERS)
def test_samples_come_with_their_own_probabilities(name, kind, magnetization):
    state = make(name, kind, magnetization)
    spins, log_prob = state.sample(64, torch.Generator().manual_seed(1), return_log_prob=True)
    assert torch.allclose(state.log_prob(spins).detach(), log_prob, atol=1e-10, rtol=0)
    distinct, counts, log_distinct = state.sample_counts(500, torch.Generator().manual_seed(2))
    assert int(counts.sum()) == 500
    assert len(torch.unique(distinct, dim=0)) == len(distinct)
    assert torch.allclose(state.log_prob(distinct).detach(), log_distinct, atol=1e-10, rtol=0)


@pytest.mark.parametrize("magnetization", [None, 0])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("method", ["propagate", "rows"])
def test_log_ratios_equal_a_full_evaluation(name, kind, magnetization, method):
    state = make(name, kind, magnetization)
    last = state.sites - 1
    singles = tuple((site,) for site in range(state.sites))
    pairs = (*((site, site + 1) for site in range(last)), (0, last), (1, last - 1))
    moves = pairs if magnetization == 0 else singles + pairs + ((0, 3, 5, 9),)
    spins = state.sample(40, torch.Generator().manual_seed(3))
    amplitude, phase = state.log_ratios(spins, moves, method)
    full_amplitude, full_phase = AutoregressiveState.log_ratios(state, spins, moves)
    assert torch.equal(torch.isinf(amplitude), torch.isinf(full_amplitude))
    inside = ~torch.isinf(full_amplitude)
    assert (amplitude - full_amplitude)[inside].abs().max() < 1e-10
    assert (phase - full_phase)[inside].abs().max() < 1e-10


@pytest.mark.parametrize("name", MAKERS)
def test_the_three_paths_agree_in_single_precision(name):
    state = make(name, dtype=torch.float32)
    spins, log_prob = state.sample(128, torch.Generator().manual_seed(4), return_log_prob=True)
    moves = tuple((site,) for site in range(state.sites))
    difference = state.log_ratios(spins, moves)[0] - AutoregressiveState.log_ratios(state, spins, moves)[0]
    assert (state.log_prob(spins).detach() - log_prob).abs().max() < 1e-5
    assert difference.abs().max() < 1e-5
    assert difference.abs().mean() < 1e-6


@pytest.mark.parametrize("counted", [False, True])
def test_frequencies_match_probabilities(counted):
    maker, _ = MAKERS["light"]
    network = CausalNetwork(maker(2), (2, 3), torch.Generator().manual_seed(5)).double()
    state = CausalState(network)
    generator = torch.Generator().manual_seed(6)
    if counted:
        spins, counts, _ = state.sample_counts(20_000, generator)
    else:
        spins, counts = torch.unique(state.sample(20_000, generator), dim=0, return_counts=True)
    index = ((spins < 0).long() << torch.arange(6)).sum(1)
    seen = torch.zeros(64, dtype=torch.long).index_add(0, index, counts)
    expected = 20_000 * state.log_prob(everything(6)).detach().exp()
    assert stats.chisquare(seen.numpy(), expected.numpy() * 20_000 / float(expected.sum())).pvalue > 1e-3


def test_given_uniforms_give_given_samples():
    state = make("light")
    uniforms = torch.rand(10, state.sites, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    together = state.sample(10, uniforms=uniforms)
    apart = torch.cat([state.sample(5, uniforms=uniforms[:5]), state.sample(5, uniforms=uniforms[5:])])
    assert torch.equal(together, apart)


def test_deep_networks_run_rows_again_and_shallow_ones_propagate():
    def choice(graph, shape):
        group = group_moves(tuple((site,) for site in range(shape[0] * shape[1])), shape[1])[0]
        return cheaper(Plan.make(graph, shape, group), CausalNetwork(graph, shape), batch=256)

    assert choice(single_stack(3, 32), (10, 10)) == "propagate"
    assert choice(paper_two_stack(6, 8), (6, 6)) == "rows"


def test_counted_operations_equal_a_count_by_hand():
    # One layer reading left and above, then a 1 x 1 head: a flip inside touches two features, each read once.
    graph = single_stack(1, 4)
    group = group_moves(((12,),), 5)[0]
    plan = Plan.make(graph, (5, 5), group)
    assert plan.multiplications == 4 * 2  # four offsets, one input, two outputs


def test_phases_of_a_real_state_are_signs():
    maker, shape = MAKERS["light"]
    network = CausalNetwork(maker(2), shape, torch.Generator().manual_seed(7)).double()
    with torch.no_grad():
        network.weights("output").taps[0].mul_(20)
    state = CausalState(network, "real")
    phase = state.phase(state.sample(50, torch.Generator().manual_seed(1)))
    assert torch.allclose(torch.sin(phase), torch.zeros_like(phase), atol=1e-12)
    assert {round(x) for x in torch.cos(phase).tolist()} == {1, -1}


@pytest.mark.parametrize(("magnetization", "message"), [(1, "no sector"), (14, "no sector")])
def test_impossible_sectors_are_refused(magnetization, message):
    with pytest.raises(InputError, match=message):
        make("light", magnetization=magnetization)


def test_outputs_must_fit_the_kind():
    network = CausalNetwork(light_two_stack(2, 4, 2), (2, 2))
    with pytest.raises(InputError, match="needs 4 outputs"):
        CausalState(network, "complex")
