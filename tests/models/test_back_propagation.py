"""The backward pass without automatic differentiation, piece by piece against it."""

import pytest
import torch

from seqtant.models.wavefunctions import jacobian
from seqtant.models.wavefunctions.causal_graph import ACTIVATIONS, Tap
from seqtant.models.wavefunctions.causal_network import convolve
from seqtant.models.wavefunctions.jacobian import by_weights


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_and_both_forms_agree(name):
    x = torch.linspace(-4, 4, 82, dtype=torch.float64).requires_grad_(True)
    y = ACTIVATIONS[name].plain(x)
    (expected,) = torch.autograd.grad(y.sum(), x)
    assert torch.allclose(ACTIVATIONS[name].slope(x.detach(), y.detach()), expected, atol=1e-12)
    assert torch.allclose(ACTIVATIONS[name].in_place(x.detach().clone()), y.detach(), atol=1e-12)


@pytest.mark.parametrize(("inputs", "outputs"), [(2, 5), (5, 2), (3, 3)])
@pytest.mark.parametrize("at_once", [1, 1 << 20])
def test_derivatives_by_weights_equal_those_of_a_convolution(inputs, outputs, at_once, monkeypatch):
    monkeypatch.setattr(jacobian, "NUMBERS_AT_ONCE", at_once)
    offsets = ((-1, -1), (-1, 0), (-1, 1), (0, -2), (0, 0))
    generator = torch.Generator().manual_seed(inputs)
    source = torch.randn(3, 4, 20, inputs, generator=generator, dtype=torch.float64)
    delta = torch.randn(3, 4, 20, outputs, generator=generator, dtype=torch.float64)
    weight = torch.zeros(5, inputs, outputs, dtype=torch.float64, requires_grad=True)
    found = torch.empty(20, 5, inputs, outputs, dtype=torch.float64)
    by_weights(source, delta, offsets, found)
    for sample in range(20):
        read = source[:, :, sample].permute(2, 0, 1)[None]
        total = (convolve(read, Tap("source", offsets), weight, None)[0] * delta[:, :, sample].permute(2, 0, 1)).sum()
        assert torch.allclose(torch.autograd.grad(total, weight)[0], found[sample], atol=1e-12)
