"""CTC itself, where PyTorch's has traps: inputs that are not normalized, targets that cannot fit."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from seqtant.ctc.lattice.inputs import CTCInput
from seqtant.ctc.lattice.paths import frame_mask


def ctc_losses(data: CTCInput) -> Float[Tensor, " B"]:
    """Negative log-likelihood per utterance; 0 without a gradient where the target cannot fit.

    Args:
        data: A checked batch of log-probabilities with targets.

    Example:
        >>> half = torch.full((1, 2, 2), 0.5).log()
        >>> one = torch.tensor([1])
        >>> ctc_losses(CTCInput.of(half, one + 1, torch.tensor([[1]]), one))
        tensor([0.2877])
    """
    targets, counts = data.required_targets()
    if not data.log_probs.numel():
        return data.log_probs.sum((1, 2))
    possible = data.possible
    losses = functional.ctc_loss(
        data.log_probs.transpose(0, 1),
        targets,
        data.lengths,
        # An infinite loss would turn the whole gradient into NaN, even where it is masked away afterwards.
        torch.where(possible, counts, 0),
        blank=data.blank,
        reduction="none",
    )
    return torch.where(possible, losses, torch.zeros_like(losses))


def unnormalized_ctc_losses(data: CTCInput) -> Float[Tensor, " B"]:
    """Negative log of the summed weight of all alignments, for scores that are not log-probabilities.

    PyTorch's gradient assumes that ``exp`` of every frame sums to 1: after a bonus, a penalty or a prior it is wrong.
    Normalizing first and taking the normalizers out of the loss makes it exact.

    Example:
        >>> scores = torch.zeros(1, 2, 2)
        >>> one = torch.tensor([1])
        >>> loss = unnormalized_ctc_losses(CTCInput.of(scores, one + 1, torch.tensor([[1]]), one))
        >>> round(float((-loss).exp()), 4)
        3.0
    """
    normalizer = data.log_probs.logsumexp(-1)
    counted = frame_mask(data.lengths, data.log_probs.shape[1])
    normalized = CTCInput(
        data.log_probs - normalizer[..., None], data.lengths, data.targets, data.target_lengths, data.blank
    )
    inside = torch.where(counted, normalizer, torch.zeros_like(normalizer)).sum(1)
    return ctc_losses(normalized) - torch.where(data.possible, inside, torch.zeros_like(inside))
