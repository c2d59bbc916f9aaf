"""Delay-penalized CTC: every alignment pays for each token it emits late."""

from __future__ import annotations

import math

import torch

from seqtant.ctc.lattice.likelihood import alignment_log_sum
from seqtant.ctc.lattice.paths import CTCInput
from seqtant.ctc.losses.base import LossTerm, TermLoss, batch_mean, fraction
from seqtant.errors import InputError


class DelayPenalizedCTC(LossTerm):
    """CTC over the lattice in which a token first emitted at frame t scores ``-penalty (t - floor(T / 2))``.

    Repeats and blanks pay nothing. Replaces CTC. Source: the lattice rule of k2's delay-penalized CTC.

    Args:
        penalty: Nats per frame of delay; 0 is CTC.
        blank: Index of the blank.
        batch_first: Whether inputs are (B, T, V) or, as for ``torch.nn.CTCLoss``, (T, B, V).

    Raises:
        InputError: The penalty is negative or not finite.

    Example:
        >>> half, one = torch.full((2, 1, 2), 0.5).log(), torch.tensor([1])
        >>> DelayPenalizedCTC(0.0)(half, torch.tensor([[1]]), one + 1, one)
        tensor(0.2877)
    """

    def __init__(self, penalty: float, *, blank: int = 0, batch_first: bool = False) -> None:
        super().__init__(blank=blank, batch_first=batch_first)
        if not math.isfinite(penalty) or penalty < 0:
            raise InputError(f"penalty is {penalty}: it must be finite and 0 or more, in nats per frame")
        self.penalty = penalty

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Mean over the batch of the penalized negative log-likelihood."""
        possible = data.possible
        frames = torch.arange(data.log_probs.shape[1], device=data.lengths.device)
        # Counted from the middle, as in k2: early tokens gain what late ones pay.
        late = frames - torch.div(data.lengths, 2, rounding_mode="floor")[:, None]
        targets, counts = data.required_targets()
        entry = (-self.penalty * late.to(data.log_probs))[..., None].expand(-1, -1, targets.shape[1])
        # A target that cannot fit runs as an empty one: finite, and masked below.
        sums = alignment_log_sum(
            data.log_probs, data.lengths, targets, torch.where(possible, counts, 0), blank=data.blank, entry=entry
        )
        losses = torch.where(possible, -sums, torch.zeros_like(sums))
        return TermLoss(batch_mean(losses), {"ctc.impossible": fraction(~possible)})
