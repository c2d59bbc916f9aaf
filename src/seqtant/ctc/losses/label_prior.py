"""CTC with a label prior: divide each posterior by how often the model emits the label anyway, blanks above all."""

from __future__ import annotations

import torch
from torch import Tensor

from seqtant.ctc.lattice.likelihood import unnormalized_ctc_losses
from seqtant.ctc.lattice.paths import CTCInput, frame_mask
from seqtant.ctc.losses.base import LossTerm, TermLoss, batch_mean, fraction


class LabelPriorCTC(LossTerm):
    """CTC on ``log p - scale * log prior``, which makes alignments less peaked. Replaces CTC.

    The prior is a running mean of the model's own posteriors, a constant for the gradient; the scores are not
    normalized any more, so the gradient is the exact one of :func:`unnormalized_ctc_losses`.

    Args:
        scale: Share of the log-prior taken out; 0 is CTC.
        momentum: Weight of the newest batch in the running mean.
        blank: Index of the blank.
        batch_first: Whether inputs are (B, T, V) or, as for ``torch.nn.CTCLoss``, (T, B, V).

    Example:
        >>> half, one = torch.full((2, 1, 2), 0.5).log(), torch.tensor([1])
        >>> LabelPriorCTC(0.0)(half, torch.tensor([[1]]), one + 1, one)
        tensor(0.2877)
    """

    prior: Tensor

    def __init__(self, scale: float, *, momentum: float = 0.1, blank: int = 0, batch_first: bool = False) -> None:
        super().__init__(blank=blank, batch_first=batch_first)
        self.scale, self.momentum = scale, momentum
        self.register_buffer("prior", torch.empty(0))

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Updates the running prior while training, then averages the loss over the batch."""
        if self.training or not self.prior.numel():
            with torch.no_grad():
                frames = data.log_probs[frame_mask(data.lengths, data.log_probs.shape[1])].exp()  # [frames, V]
                V = data.log_probs.shape[2]
                now = frames.mean(0) if len(frames) else data.log_probs.new_full((V,), 1 / V)
                self.prior = torch.lerp(self.prior, now, self.momentum) if self.prior.numel() else now
        # A label that is never emitted would get an infinite bonus: its prior counts as 1e-8.
        scores = data.log_probs - self.scale * self.prior.clamp(min=1e-8).log()
        shifted = CTCInput(scores, data.lengths, data.targets, data.target_lengths, data.blank)
        stats = {"ctc.impossible": fraction(~data.possible), "prior.blank": float(self.prior[data.blank])}
        return TermLoss(batch_mean(unnormalized_ctc_losses(shifted)), stats)
