"""Peak-first regularization: each frame learns to look like the next one, so that peaks move earlier."""

from __future__ import annotations

import torch

from seqtant.ctc.lattice.paths import CTCInput, frame_mask
from seqtant.ctc.losses.base import LossTerm, Schedule, TermLoss, batch_mean


class PeakFirst(LossTerm):
    """``weight * sum_t KL(p_{t+1} || p_t)`` with the next frame's distribution held fixed. Added to CTC.

    Source: Peak-First CTC, arXiv 2211.03284 (frame-wise distillation towards the next frame).

    Args:
        weight: Weight of the term, or a schedule.
        blank: Index of the blank.
        batch_first: Whether inputs are (B, T, V) or, as for ``torch.nn.CTCLoss``, (T, B, V).

    Example:
        >>> flat = torch.full((3, 1, 2), 0.5).log()
        >>> PeakFirst(1.0)(flat, None, torch.tensor([3]))
        tensor(0.)
    """

    def __init__(self, weight: float | Schedule, *, blank: int = 0, batch_first: bool = False) -> None:
        super().__init__(blank=blank, batch_first=batch_first)
        self.weight = Schedule.of(weight)

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Sum over frames, mean over the batch."""
        weight = self.weight.at(step)
        following = data.log_probs[:, 1:].detach()
        probabilities = following.exp()
        # A label the model cannot emit at the next frame asks nothing of this one: 0 * -inf is 0 here.
        difference = torch.where(probabilities > 0, following - data.log_probs[:, :-1], 0.0)
        divergence = (probabilities * difference).sum(-1)
        inside = frame_mask(data.lengths - 1, divergence.shape[1])
        losses = torch.where(inside, divergence, torch.zeros_like(divergence)).sum(1)
        loss = batch_mean(losses)
        return TermLoss(weight * loss, {"peak-first.weight": weight, "peak-first.kl": float(loss.detach())})
