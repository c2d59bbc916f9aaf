"""Per-sample derivatives equal those of automatic differentiation and finite differences."""

import pytest
import torch

from seqtant.models.wavefunctions.autoregressive import AutoregressiveState
from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.jacobian import jacobian
from seqtant.models.wavefunctions.stacks import dilated_chain, light_two_stack, paper_two_stack, single_stack

CASES = {
    "light": (lambda out: light_two_stack(3, 4, out), (3, 3)),
    "paper": (lambda out: paper_two_stack(3, 4, out), (3, 3)),
    "single": (lambda out: single_stack(3, 4, out), (3, 4)),
    "chain": (lambda out: dilated_chain(3, 4, out), (1, 9)),
}


def whole(state, spins):
    names = [name for name, _ in state.named_parameters()]
    sizes = {name: p.numel() for name, p in state.named_parameters()}
    found = {}
    for block in jacobian(state, spins):
        start = 0
        for name in block.parameters:
            stop = start + sizes[name]
            phase = None if block.phase is None else block.phase[:, start:stop]
            assert name not in found
            found[name], start = (block.amplitude[:, start:stop], phase), stop
    assert set(found) == set(names)
    amplitude = torch.cat([found[name][0] for name in names], dim=1)
    return amplitude, None if not state.has_phase else torch.cat([found[name][1] for name in names], dim=1)


@pytest.mark.parametrize("kind", ["positive", "complex", "real"])
@pytest.mark.parametrize("magnetization", [None, 1])
@pytest.mark.parametrize("name", CASES)
def test_fast_derivatives_equal_those_of_the_whole_function(name, kind, magnetization):
    maker, shape = CASES[name]
    network = CausalNetwork(maker(4 if kind == "complex" else 2), shape, torch.Generator().manual_seed(3)).double()
    if magnetization is not None and (network.sites + magnetization) % 2:
        magnetization -= 1
    state = CausalState(network, kind, magnetization)
    spins = state.sample(6, torch.Generator().manual_seed(4))
    amplitude, phase = whole(state, spins)
    for row in range(len(spins)):
        for number, fast in ((0, amplitude), (1, phase)):
            if fast is not None:
                value = state.log_psi(spins[row : row + 1])[number].sum()
                slow = torch.autograd.grad(value, list(state.parameters()), allow_unused=True)
                slow = [torch.zeros_like(p) if g is None else g for g, p in zip(slow, state.parameters(), strict=True)]
                assert torch.allclose(torch.cat([g.flatten() for g in slow]), fast[row], atol=1e-10)


def test_generic_derivatives_equal_fast_ones():
    network = CausalNetwork(light_two_stack(2, 4, 4), (3, 3), torch.Generator().manual_seed(3)).double()
    fast = CausalState(network, "complex")
    generic = AutoregressiveState(network, "complex")
    spins = fast.sample(70, torch.Generator().manual_seed(4))
    for one, other in zip(whole(fast, spins), whole(generic, spins), strict=True):
        assert torch.allclose(one, other, atol=1e-10)


def test_derivatives_equal_finite_differences():
    network = CausalNetwork(paper_two_stack(3, 4, 4), (2, 3), torch.Generator().manual_seed(3)).double()
    state = CausalState(network, "complex")
    spins = state.sample(3, torch.Generator().manual_seed(5))
    derivatives = whole(state, spins)
    flat = torch.nn.utils.parameters_to_vector(state.parameters()).detach()
    for place in range(0, len(flat), 97):
        values = []
        for step in (1e-6, -1e-6):
            moved = flat.clone()
            moved[place] += step
            torch.nn.utils.vector_to_parameters(moved, state.parameters())
            values.append([x.detach() for x in state.log_psi(spins)])
        for number, exact in enumerate(derivatives):
            difference = (values[0][number] - values[1][number]) / 2e-6
            assert torch.allclose(difference, exact[:, place], atol=1e-6)
