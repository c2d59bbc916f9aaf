"""Pointwise functions of causal networks: plain for training, in place for the paths without gradients.

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
    """A pointwise function in two forms that give the same numbers."""

    plain: Callable[[Tensor], Tensor]
    """With gradients; returns a new tensor."""
    in_place: Callable[[Tensor], Tensor]
    """Without gradients; overwrites its argument and returns it."""


def _selu(x: Tensor) -> Tensor:
    # The library's SELU calls expm1, several times slower than exp; the difference is below float32 rounding of 1.
    negative = x.clamp(max=0).exp_().sub_(1).mul_(_SELU_SCALE * _SELU_ALPHA)
    return x.clamp_(min=0).mul_(_SELU_SCALE).add_(negative)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(lambda x: x, lambda x: x),
    "relu": Activation(functional.relu, torch.relu_),
    "silu": Activation(functional.silu, lambda x: functional.silu(x, inplace=True)),
    "tanh": Activation(torch.tanh, torch.tanh_),
    "selu": Activation(functional.selu, _selu),
}
