"""Random numbers that depend only on seed, step and place: the same for one process, for many, and after a resume."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 64
"""Configurations that share one generator."""


def uniforms(seed: int, step: int, samples: int, sites: int, *, share: int = 0, shares: int = 1) -> Tensor:
    """Numbers in [0, 1) to draw configurations with.

    Args:
        seed: Seed of the run.
        step: Number of the step.
        samples: Configurations of the whole step.
        sites: Spins per configuration.
        share: Which share of the step this process draws.
        shares: Number of processes.

    Returns:
        Shape (samples of this share, sites), float64; the shares together do not depend on their number.

    Example:
        >>> whole = uniforms(1, 7, 200, 3)
        >>> parts = [uniforms(1, 7, 200, 3, share=share, shares=2) for share in (0, 1)]
        >>> bool((torch.cat(parts) == whole).all())
        True
    """
    blocks = [(start, min(start + BLOCK, samples)) for start in range(0, samples, BLOCK)]
    first, last = len(blocks) * share // shares, len(blocks) * (share + 1) // shares
    found = [torch.empty(0, sites, dtype=torch.float64)]
    for number in range(first, last):
        # Large odd multipliers keep the streams of neighboring steps and blocks apart.
        mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + number * 0x94D049BB133111EB) % (1 << 63)
        generator = torch.Generator().manual_seed(mixed)
        found.append(torch.rand(blocks[number][1] - blocks[number][0], sites, generator=generator, dtype=torch.float64))
    return torch.cat(found)


def generator_for(seed: int, purpose: int) -> torch.Generator:
    """A generator of its own for one purpose of a run."""
    return torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + (purpose + 1) * 0xD1B54A32D192ED03) % (1 << 63))
