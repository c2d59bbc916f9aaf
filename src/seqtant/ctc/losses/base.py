"""What every CTC loss of this room looks like from outside: one call signature, a loss and its statistics."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.ctc.lattice.ctc_loss import ctc_losses
from seqtant.ctc.lattice.inputs import CTCInput


class TermLoss(NamedTuple):
    """A loss, already weighted and averaged over the batch, and what it did."""

    loss: Float[Tensor, ""]
    stats: dict[str, float]


class LossTerm(torch.nn.Module):
    """A term of a CTC training loss.

    Args:
        blank: Index of the blank; negative counts from the end.
        batch_first: Whether inputs are (B, T, V) or, as for ``torch.nn.CTCLoss``, (T, B, V).
    """

    def __init__(self, *, blank: int = 0, batch_first: bool = True) -> None:
        super().__init__()
        self.blank, self.batch_first = blank, batch_first

    def forward(
        self,
        log_probs: Float[Tensor, "first second V"],
        lengths: Int[Tensor, " B"],
        targets: Int[Tensor, "*tokens"] | None = None,
        target_lengths: Int[Tensor, " B"] | None = None,
        *,
        generator: torch.Generator | None = None,
        step: int = 0,
    ) -> TermLoss:
        """Computes the term for one batch.

        Args:
            log_probs: Output of ``log_softmax``, (B, T, V) or (T, B, V).
            lengths: Model frames per utterance.
            targets: Reference labels, (B, U) or concatenated.
            target_lengths: Reference tokens per utterance.
            generator: Source of randomness, on the device of ``log_probs``.
            step: Training step, for schedules.

        Raises:
            InputError: Shapes, lengths or labels do not fit together.
        """
        data = CTCInput.of(log_probs, lengths, targets, target_lengths, blank=self.blank, batch_first=self.batch_first)
        return self.compute(data, generator=generator, step=step)

    @abstractmethod
    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Computes the term for one checked batch."""


class PlainCTC(LossTerm):
    """CTC: the negative log-likelihood of the target, summed over tokens, averaged over utterances.

    PyTorch's ``reduction="mean"`` divides by the target length instead: weights of other terms do not carry over.

    Example:
        >>> half, one = torch.full((1, 2, 2), 0.5).log(), torch.tensor([1])
        >>> PlainCTC()(half, one + 1, torch.tensor([[1]]), one).loss
        tensor(0.2877)
    """

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Mean over the batch; utterances too short for their target count as 0 and are reported."""
        losses = ctc_losses(data)
        return TermLoss(mean(losses), {"ctc.impossible": share(~data.possible)})


def mean(losses: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    """Mean over the utterances; 0 for an empty batch."""
    return losses.sum() / max(len(losses), 1)


def share(flags: Tensor) -> float:
    """Share of true flags; 0 for none.

    Example:
        >>> share(torch.tensor([True, False]))
        0.5
    """
    return float(flags.float().mean()) if flags.numel() else 0.0
