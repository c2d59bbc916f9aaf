"""The loss of a model on a fixed set of rows, averaged over positions and not over batches."""

from __future__ import annotations

import torch
from torch import nn

from seqtant.errors import InputError
from seqtant.training.batches import Batch, rows_of
from seqtant.training.losses import Loss, next_token_loss


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
            total += float(sums.total)
            count += int(sums.count)
    finally:
        model.train(was_training)
    if count == 0:
        raise InputError("there is nothing to measure: every position is masked; give rows with a label")
    return total / count
