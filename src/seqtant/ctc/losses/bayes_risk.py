"""Bayes-risk CTC: alignments are weighed by when each token ends."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from seqtant.ctc.lattice.likelihood import alignment_log_sum
from seqtant.ctc.lattice.paths import CTCInput, frame_mask
from seqtant.ctc.losses.base import LossTerm, TermLoss, batch_mean, fraction


class BayesRiskCTC(LossTerm):
    """``-(1/U) sum_u log sum_t P(target, token u ends at frame t) exp(-risk t / T)``. Replaces CTC.

    Time is turned round, so that the last frame of a token is its first: then the weight is an arc score of the
    lattice, and each token has a lattice of its own (memory grows with U). Source: Bayes Risk CTC, arXiv 2210.07499,
    in its down-sampling and early-emission form as other toolkits implement it.

    Args:
        risk: Strength of the preference for early ends; 0 is CTC.
        blank: Index of the blank.
        batch_first: Whether inputs are (B, T, V) or, as for ``torch.nn.CTCLoss``, (T, B, V).

    Example:
        >>> half, one = torch.full((2, 1, 2), 0.5).log(), torch.tensor([1])
        >>> BayesRiskCTC(0.0)(half, torch.tensor([[1]]), one + 1, one)
        tensor(0.2877)
    """

    def __init__(self, risk: float, *, blank: int = 0, batch_first: bool = False) -> None:
        super().__init__(blank=blank, batch_first=batch_first)
        self.risk = risk

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Mean over the batch of the per-token mean risk."""
        possible = data.possible
        targets, counts = data.required_targets()
        # A target that cannot fit runs as an empty one: finite, and masked at the end.
        counts = torch.where(possible, counts, 0)
        B, T, _ = data.log_probs.shape
        U = max(targets.shape[1], 1)
        # Each utterance runs backwards: the last frame of a token becomes the first, where entries are scored.
        reverse = _reverse_index(data.lengths, T)  # [B, T]
        scores = data.log_probs.gather(1, reverse[..., None].expand_as(data.log_probs))
        backwards = targets.gather(1, _reverse_index(counts, targets.shape[1]))
        penalty = -self.risk * reverse.to(scores) / data.lengths.clamp(min=1)[:, None]
        # Lattice u of an utterance scores the entry of token u only: [B, U lattices, T, U tokens].
        entry = penalty[:, None, :, None] * torch.eye(U, device=scores.device, dtype=scores.dtype)[None, :, None]
        sums = alignment_log_sum(
            scores.repeat_interleave(U, 0),
            data.lengths.repeat_interleave(U),
            backwards.repeat_interleave(U, 0),
            counts.repeat_interleave(U),
            blank=data.blank,
            entry=entry.reshape(B * U, T, U)[..., : targets.shape[1]],
        ).reshape(B, U)
        # An utterance without tokens counts its one lattice, whose entry scores nothing: plain CTC.
        used = counts.clamp(min=1)
        per_token = torch.where(frame_mask(used, U), -sums, torch.zeros_like(sums)).sum(1) / used
        losses = torch.where(possible, per_token, torch.zeros_like(per_token))
        return TermLoss(batch_mean(losses), {"ctc.impossible": fraction(~possible)})


def _reverse_index(lengths: Int[Tensor, " B"], size: int) -> Int[Tensor, "B size"]:
    """Index that turns each row's first ``length`` places round and leaves the rest."""
    places = torch.arange(size, device=lengths.device).expand(len(lengths), -1)
    return torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)
