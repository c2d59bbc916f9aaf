"""What several tests of CTC call."""

from __future__ import annotations

import torch
from torch import Tensor

from seqtant.ctc.losses.base import LossTerm, TermLoss


def batch_loss(
    term: LossTerm,
    log_probs: Tensor,
    lengths: Tensor,
    targets: Tensor | None = None,
    counts: Tensor | None = None,
    *,
    generator: torch.Generator | None = None,
    step: int = 0,
) -> TermLoss:
    """Loss and statistics of a batch (B, T, V)."""
    term.batch_first = True
    loss = term(log_probs, targets, lengths, counts, generator=generator, step=step)
    return TermLoss(loss, term.stats)
