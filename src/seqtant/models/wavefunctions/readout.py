"""From a network's outputs to conditional amplitudes: positive, real or complex, each normalized by itself.

A conditional wave function is a vector over the two spin values with unit Euclidean norm. Column 0 of the outputs
belongs to spin +1, column 1 to spin -1; further columns are the phases in the same order.

Source: Sharir et al., Phys. Rev. Lett. 124, 020503 (2020): normalization in the logarithm, phases untouched.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Kind = Literal["positive", "real", "complex"]


def output_channels(kind: Kind) -> int:
    """Outputs per site that a kind of wave function needs."""
    return 4 if kind == "complex" else 2


def accurate(outputs: Tensor) -> Tensor:
    """Outputs in float64, where the device knows it: sums over many sites lose digits in float32."""
    return outputs if outputs.device.type == "mps" else outputs.double()


def log_conditional(outputs: Tensor, spins: Tensor, kind: Kind) -> Tensor:
    """Logarithm of the modulus of the conditional amplitude of given spins.

    Args:
        outputs: Shape (..., channels).
        spins: Values +1 and -1, shape (...).
        kind: Kind of wave function.

    Returns:
        Shape (...), at most 0.

    Example:
        >>> up = log_conditional(torch.tensor([0.3, -0.2]), torch.tensor(1.0), "positive")
        >>> down = log_conditional(torch.tensor([0.3, -0.2]), torch.tensor(-1.0), "positive")
        >>> round(((2 * up).exp() + (2 * down).exp()).item(), 6)
        1.0
    """
    return 0.5 * functional.logsigmoid(spins * log_odds(outputs, kind))


def log_odds(outputs: Tensor, kind: Kind) -> Tensor:
    """Log-odds log p(+1) - log p(-1) of every conditional, shape (...)."""
    if kind == "real":
        sizes = signed(outputs).abs().log()
        return 2 * (sizes[..., 0] - sizes[..., 1])
    return 2 * (outputs[..., 0] - outputs[..., 1])


def signed(outputs: Tensor) -> Tensor:
    """Unnormalized amplitudes (..., 2) of a real state; outputs of zero mean equal positive amplitudes."""
    return outputs[..., :2] + 1


def conditional_phase(outputs: Tensor, spins: Tensor, kind: Kind) -> Tensor:
    """Phase of the conditional amplitude of given spins, radians, shape (...)."""
    if kind == "complex":
        return torch.where(spins > 0, outputs[..., 2], outputs[..., 3])
    if kind == "real":
        amplitudes = signed(outputs)
        chosen = torch.where(spins > 0, amplitudes[..., 0], amplitudes[..., 1])
        return (chosen < 0).to(outputs.dtype) * math.pi
    return torch.zeros_like(outputs[..., 0])


def forced(ups_before: Tensor, site: Tensor | int, sites: int, magnetization: int) -> Tensor:
    """Which value a site must take to end in a sector of fixed magnetization.

    Args:
        ups_before: Number of spins +1 among earlier sites, shape (...).
        site: Number of earlier sites.
        sites: Number of all sites.
        magnetization: Sum of all spins in the sector.

    Returns:
        +1 or -1 where only that value is possible, 0 where both are, shape (...).

    Example:
        >>> forced(torch.tensor([0, 1, 2]), 2, 4, 0)
        tensor([ 1,  0, -1])
    """
    down = ups_before >= (sites + magnetization) // 2
    up = site - ups_before >= (sites - magnetization) // 2
    return up.to(torch.int64) - down.to(torch.int64)


def constrain(log_amplitude: Tensor, spins: Tensor, must: Tensor) -> Tensor:
    """Log-conditionals where some sites have no choice: 0 if the spin is the one it must be, else minus infinity."""
    allowed = torch.where(must == spins, torch.zeros_like(log_amplitude), torch.full_like(log_amplitude, -torch.inf))
    return torch.where(must == 0, log_amplitude, allowed)
