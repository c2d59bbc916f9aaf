"""Symmetrized states: normalized, invariant, sampled exactly, with the right ratios and derivatives."""

import pytest
import torch
from scipy import stats

from seqtant.models.wavefunctions.causal_network import CausalNetwork
from seqtant.models.wavefunctions.causal_state import CausalState
from seqtant.models.wavefunctions.jacobian import jacobian
from seqtant.models.wavefunctions.stacks import light_two_stack
from seqtant.models.wavefunctions.symmetrized_state import SymmetrizedState, first_image, mean_phase

SITES = 6
MIRRORS = torch.tensor([[0, 1, 2, 3, 4, 5], [2, 1, 0, 5, 4, 3], [3, 4, 5, 0, 1, 2], [5, 4, 3, 2, 1, 0]] * 2)
SIGNS = torch.tensor([1, 1, 1, 1, -1, -1, -1, -1])
EVERYTHING = 1 - 2 * ((torch.arange(2**SITES)[:, None] >> torch.arange(SITES)) & 1)


def make(kind="complex", magnetization=None, phases="mean"):
    network = CausalNetwork(
        light_two_stack(2, 5, 4 if kind == "complex" else 2), (2, 3), torch.Generator().manual_seed(1)
    )
    return SymmetrizedState(CausalState(network.double(), kind, magnetization), MIRRORS, SIGNS, phases)


@pytest.mark.parametrize("phases", ["mean", "first"])
@pytest.mark.parametrize("magnetization", [None, 0])
@pytest.mark.parametrize("kind", ["positive", "real", "complex"])
def test_normalized_and_invariant(kind, magnetization, phases):
    state = make(kind, magnetization, phases)
    amplitude, phase = (x.detach() for x in state.log_psi(EVERYTHING))
    assert abs(float((2 * amplitude).exp().sum()) - 1) < 1e-10
    for image in state.images(EVERYTHING):
        other_amplitude, other_phase = (x.detach() for x in state.log_psi(image))
        assert torch.allclose((2 * amplitude).exp(), (2 * other_amplitude).exp(), atol=1e-12)
        assert torch.allclose(torch.cos(phase - other_phase), torch.ones_like(phase), atol=1e-9)


def test_frequencies_match_the_symmetrized_probabilities():
    state = make()
    spins = state.sample(20_000, torch.Generator().manual_seed(2))
    index = ((spins < 0).long() << torch.arange(SITES)).sum(1)
    seen = torch.bincount(index, minlength=64).numpy()
    expected = state.log_prob(EVERYTHING).detach().exp().numpy()
    assert stats.chisquare(seen, expected / expected.sum() * 20_000).pvalue > 1e-3


@pytest.mark.parametrize("phases", ["mean", "first"])
@pytest.mark.parametrize("moves", [tuple((i,) for i in range(SITES)), ((0, 1), (0, 3)), ((2,),)])
def test_ratios_equal_full_evaluation(moves, phases):
    state = make(phases=phases)
    spins = state.sample(10, torch.Generator().manual_seed(3))
    amplitude, phase = state.log_ratios(spins, moves)
    base = [x.detach() for x in state.log_psi(spins)]
    for n, move in enumerate(moves):
        other = spins.clone()
        other[:, list(move)] *= -1
        new = [x.detach() for x in state.log_psi(other)]
        assert torch.allclose(amplitude[:, n], new[0] - base[0], atol=1e-10)
        assert torch.allclose(torch.cos(phase[:, n] - new[1] + base[1]), torch.ones(10, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize("phases", ["mean", "first"])
def test_derivatives_equal_automatic_differentiation(phases):
    state = make(phases=phases)
    spins = state.sample(4, torch.Generator().manual_seed(4))
    names = [name for name, _ in state.plain.named_parameters()]
    sizes = {name: p.numel() for name, p in state.plain.named_parameters()}
    fast: dict = {}
    for block in jacobian(state, spins):
        starts = [sum(sizes[n] for n in block.parameters[:k]) for k in range(len(block.parameters))]
        for name, start in zip(block.parameters, starts, strict=True):
            part = slice(start, start + sizes[name])
            fast[name] = (block.amplitude[:, part], block.phase[:, part])
    for row in range(len(spins)):
        for number in (0, 1):
            value = state.log_psi(spins[row : row + 1])[number].sum()
            slow = torch.autograd.grad(value, list(state.plain.parameters()))
            for name, gradient in zip(names, slow, strict=True):
                assert torch.allclose(gradient.flatten(), fast[name][number][row], atol=1e-9)


def test_the_first_image_is_found_among_more_sites_than_one_number_holds():
    images = 1 - 2 * torch.randint(0, 2, (5, 7, 130), generator=torch.Generator().manual_seed(1))
    images[1, 0] = images[0, 0]
    numbers = [[sum(1 << n for n, s in enumerate(row) if s < 0) for row in image] for image in images.tolist()]
    expected = [min(range(5), key=lambda g: (numbers[g][b], g)) for b in range(7)]
    assert first_image(images).tolist() == expected


def test_signs_of_a_real_state_are_the_majority_and_plus_at_a_tie() -> None:
    phases = torch.pi * torch.tensor([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    assert torch.cos(mean_phase(phases, "real")).tolist() == [1.0, -1.0, 1.0]
