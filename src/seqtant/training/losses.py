"""What is minimized: a sum and a count, kept apart until the count of the whole global batch is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from seqtant.errors import InputError
from seqtant.training.batches import Batch, rows_of

IGNORED = -100
"""Label of a position that is not learned, as in torch and transformers."""


@dataclass(frozen=True)
class LossSum:
    """A loss that has not been averaged yet.

    Averaging here would weigh forward passes with few labels as much as those with many.
    """

    total: torch.Tensor
    """Sum of the loss over the counted positions, a scalar."""
    count: torch.Tensor
    """Number of counted positions, a scalar."""


Loss = Callable[[nn.Module, Batch], LossSum]
"""Runs the model on the rows it is given and sums its loss."""


def next_token_loss(model: nn.Module, batch: Batch) -> LossSum:
    """Cross-entropy of the next token, in nats.

    Args:
        model: Called with ``input_ids`` [B, T] (and ``attention_mask`` if the batch has one); returns logits
            [B, T, V] or an object with a field ``logits``.
        batch: ``input_ids`` [B, T]; optional ``labels`` [B, T], where -100 is not learned (default: ``input_ids``).

    Returns:
        Sum over the labels at positions 1 to T-1 that are not -100, and their number.
    """
    extra = {"attention_mask": batch["attention_mask"]} if "attention_mask" in batch else {}
    output: Any = model(batch["input_ids"], **extra)
    logits = getattr(output, "logits", output)[:, :-1]
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    labels = batch.get("labels", batch["input_ids"])[:, 1:]
    total = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")
    return LossSum(total, (labels != IGNORED).sum())


@torch.no_grad()
def mean_loss(model: nn.Module, batch: Batch, *, rows: int = 64, loss: Loss = next_token_loss) -> float:
    """Mean loss over all counted positions of a batch, some rows at a time, in evaluation mode.

    Args:
        model: Left in the mode it was in.
        batch: All rows.
        rows: Rows per forward pass.
        loss: Sums the loss of some rows; by default next-token cross-entropy in nats.

    Raises:
        InputError: No position counts.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    try:
        for start in range(0, rows_of(batch), rows):
            sums = loss(model, {name: tensor[start : start + rows].to(device) for name, tensor in batch.items()})
            # Sums of batches of unequal counts: their means could not simply be averaged.
            total += float(sums.total)
            count += int(sums.count)
    finally:
        model.train(was_training)
    if count == 0:
        raise InputError("there is nothing to measure: every position is masked; give rows with a label")
    return total / count
