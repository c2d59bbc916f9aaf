"""Divergences of next-token distributions, where tokens of probability zero are common."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def divergences(
    first: Float[Tensor, "*positions vocabulary"], second: Float[Tensor, "*positions vocabulary"]
) -> Float[Tensor, "*positions"]:
    """KL(first || second) at every position, in nats; a token that cannot come under the first counts nothing.

    Args:
        first: Log-probabilities.
        second: Log-probabilities; where the first has some, minus infinity makes the divergence infinite.

    Example:
        >>> certain = torch.tensor([0.0, -torch.inf])
        >>> divergences(certain, torch.tensor([0.5, 0.5]).log()).item(), divergences(certain, certain).item()
        (0.6931471824645996, 0.0)
    """
    probabilities = first.exp()
    return torch.where(probabilities > 0, probabilities * (first - second), 0.0).sum(dim=-1)


def entropies(scores: Float[Tensor, "*positions vocabulary"]) -> Float[Tensor, "*positions"]:
    """Entropy at every position, in nats."""
    return torch.special.entr(scores.exp()).sum(dim=-1)
