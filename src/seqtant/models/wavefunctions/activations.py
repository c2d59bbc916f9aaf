"""Pointwise functions of causal networks: plain for training, in place and with slopes for the paths without autograd.

Each maps 0 to 0, so that padding and untouched features stay zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772


@dataclass(frozen=True)
class Activation:
    """A pointwise function in two forms that give the same numbers, and its derivative."""

    plain: Callable[[Tensor], Tensor]
    """With gradients; returns a new tensor."""
    in_place: Callable[[Tensor], Tensor]
    """Without gradients; overwrites its argument and returns it."""
    slope: Callable[[Tensor, Tensor], Tensor]
    """Derivative from the argument and the value; returns a new tensor."""


def _selu(x: Tensor) -> Tensor:
    # The library's SELU calls expm1, several times slower than exp; the difference is below float32 rounding of 1.
    negative = x.clamp(max=0).exp_()
    return x.clamp_(min=0).add_(negative, alpha=_SELU_ALPHA).sub_(_SELU_ALPHA).mul_(_SELU_SCALE)


def _silu_slope(x: Tensor, y: Tensor) -> Tensor:
    share = torch.sigmoid(x)
    return torch.addcmul(share + y, y, share, value=-1)


def _selu_slope(x: Tensor, y: Tensor) -> Tensor:
    return torch.where(y > 0, _SELU_SCALE, y + _SELU_SCALE * _SELU_ALPHA)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(lambda x: x, lambda x: x, lambda x, y: torch.ones_like(x)),
    "relu": Activation(functional.relu, torch.relu_, lambda x, y: (x > 0).to(x.dtype)),
    "silu": Activation(functional.silu, lambda x: functional.silu(x, inplace=True), _silu_slope),
    "tanh": Activation(torch.tanh, torch.tanh_, lambda x, y: 1 - y * y),
    "selu": Activation(functional.selu, _selu, _selu_slope),
}
