"""Rotary positions: queries and keys turned by an angle that grows with the position."""

from __future__ import annotations

import torch
from jaxtyping import Float


def rotate(x: Float[torch.Tensor, "*batch T d"], base: float = 10_000.0) -> Float[torch.Tensor, "*batch T d"]:
    """Turns each pair of coordinates (k, k + d/2) at position t by the angle t * base^(-2k/d).

    The inner product of two turned vectors depends on their positions through the difference only.

    Args:
        x: Queries or keys, [..., T, d] with even d; the positions are 0 to T-1.
        base: Wavelength base.

    Returns:
        Same shape and type as ``x``.

    Source: Su et al. 2021, RoFormer, arXiv 2104.09864, eq. 15 (pairs split in halves instead of interleaved).

    Example:
        >>> rotate(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))[1].numpy().round(4).tolist()
        [0.5403000116348267, 0.8414999842643738]
    """
    length, half = x.shape[-2], x.shape[-1] // 2
    frequency = base ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(length, device=x.device, dtype=torch.float32)[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    left, right = x[..., :half], x[..., half:]
    return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=-1)
