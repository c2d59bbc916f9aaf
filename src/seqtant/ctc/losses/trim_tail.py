"""TrimTail: cut the end of the input, so that a model learns to finish before the sound does."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from seqtant.errors import InputError


@dataclass(frozen=True)
class TrimTail:
    """Shortens each utterance by a random number of feature frames; the targets stay.

    Source: TrimTail, arXiv 2211.00522: ``t ~ U{1..most}``, nothing is cut where ``t`` is half the utterance or more.

    Args:
        most: Largest number of feature frames to cut; 0 cuts nothing.

    Example:
        >>> TrimTail(5)(torch.tensor([100, 4]), torch.Generator().manual_seed(0)).tolist()
        [95, 4]
    """

    most: int

    def __post_init__(self) -> None:
        if self.most < 0:
            raise InputError(f"most is {self.most}: TrimTail cuts 0 or more feature frames")

    def __call__(self, lengths: Int[Tensor, " B"], generator: torch.Generator | None = None) -> Int[Tensor, " B"]:
        """Returns the shortened lengths; features beyond them are padding from now on."""
        if not self.most:
            return lengths
        cut = torch.randint(1, self.most + 1, lengths.shape, generator=generator, device=lengths.device)
        return torch.where(2 * cut < lengths, lengths - cut, lengths)
