"""Causality, blind spots and order of computation follow from offsets alone: checked against brute force."""

import numpy as np
import pytest
import torch

from seqtant.errors import InputError
from seqtant.models.wavefunctions.causal_graph import SPINS, CausalGraph, Node, Phase, Tap
from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.stacks import dilated_chain, light_two_stack, paper_two_stack, single_stack

GRAPHS = {
    "light": (light_two_stack(3, 4), (4, 5)),
    "paper": (paper_two_stack(3, 4), (3, 4)),
    "single": (single_stack(3, 4), (4, 4)),
    "chain": (dilated_chain(3, 4), (1, 11)),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_what_a_conditional_sees_is_what_flipping_a_spin_changes(name):
    graph, shape = GRAPHS[name]
    network = CausalNetwork(graph, shape, torch.Generator().manual_seed(1)).double()
    for module in network.of.values():  # positive weights: no rectifier can hide a path
        for weight in module.taps:
            weight.data.abs_()
        if module.bias is not None:
            module.bias.data.fill_(3.0)
    spins = torch.ones(1, network.sites)
    base = network.outputs(spins)
    changed = np.zeros((network.sites, network.sites), dtype=bool)
    for site in range(network.sites):
        other = spins.clone()
        other[:, site] = -1
        changed[:, site] = ((network.outputs(other) - base).abs().amax(dim=(0, 2)) > 1e-12).numpy()
    assert (changed == graph.sees(shape)).all()
    assert not np.triu(changed).any()


def test_two_stacks_have_no_blind_spot_and_a_masked_single_stack_always_has():
    assert paper_two_stack(6, 4).missing_dependencies((6, 6)) == []
    assert light_two_stack(6, 4).missing_dependencies((6, 6)) == []
    for depth in (3, 8):
        blind = single_stack(depth, 4).missing_dependencies((6, 6))
        at = [earlier for site, earlier in blind if site == (3, 1)]
        assert {(2, 3), (2, 4), (2, 5), (1, 4), (1, 5), (0, 5)} <= set(at)


def test_published_parameter_counts():
    assert CausalNetwork(paper_two_stack(10, 32), (2, 2)).count_parameters() == 398_340
    assert CausalNetwork(paper_two_stack(20, 32), (2, 2)).count_parameters() == 854_020


def test_phases_of_the_light_pair():
    graph = light_two_stack(2, 4)
    assert graph.phases["vertical0_new"] == Phase.ROW_END
    assert graph.phases["horizontal0_new"] == Phase.BEFORE
    assert graph.phases["output"] == Phase.BEFORE


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((Node("out", 2, (Tap(SPINS, ((0, 0),)),)),), "not causal"),
        ((Node("out", 2, (Tap(SPINS, ((-1, 1), (1, 0))),)),), "not causal"),
        ((Node("a", 1, (Tap(SPINS, ((0, 1),)),)), Node("out", 2, (Tap("a", ((0, -1),)),))), "not causal"),
        ((Node("a", 1, (Tap(SPINS, ((0, 1),)),)), Node("out", 2, (Tap("a", ((0, -3),)),))), "ahead"),
        ((Node("out", 2, (Tap("nobody", ((0, -1),)),)),), "no earlier node"),
        ((Node("a", 1), Node("a", 1)), "there twice"),
        ((Node("a", 3, (Tap(SPINS, ((0, -1),)),)), Node("out", 2, skips=("a",))), "must have 2 channels"),
    ],
)
def test_a_graph_that_could_not_be_sampled_is_refused(nodes, message):
    with pytest.raises(InputError, match=message):
        CausalGraph(nodes)
