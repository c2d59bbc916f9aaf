"""The one place where batches are checked: shapes, lengths, labels, blank index, precision."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqtant.errors import InputError


@dataclass(frozen=True)
class CTCInput:
    """One checked batch.

    Args:
        log_probs: (B, T, V), at least single precision.
        lengths: Frames per utterance, on the device of ``log_probs``.
        targets: Reference labels (B, U), 0 beyond each end; None where none were given.
        target_lengths: Reference tokens per utterance.
        blank: Index of the blank, 0 or more.
    """

    log_probs: Float[Tensor, "B T V"]
    lengths: Int[Tensor, " B"]
    targets: Int[Tensor, "B U"] | None
    target_lengths: Int[Tensor, " B"] | None
    blank: int

    @classmethod
    def of(
        cls,
        log_probs: Float[Tensor, "first second V"],
        lengths: Int[Tensor, " B"],
        targets: Int[Tensor, "*tokens"] | None = None,
        target_lengths: Int[Tensor, " B"] | None = None,
        *,
        blank: int = 0,
        batch_first: bool = True,
    ) -> CTCInput:
        """Checks a batch and brings it to one form.

        Raises:
            InputError: Something does not fit; the message names it.
        """
        if log_probs.ndim != 3:
            raise InputError(f"log_probs has shape {tuple(log_probs.shape)}: it must be batch x frames x labels")
        if not batch_first:
            log_probs = log_probs.transpose(0, 1)
        if log_probs.dtype in {torch.float16, torch.bfloat16}:
            log_probs = log_probs.float()
        B, T, V = log_probs.shape
        if not -V <= blank < V:
            raise InputError(f"blank is {blank}, but there are {V} labels: use 0 to {V - 1}")
        blank %= V
        lengths = _lengths(lengths, B, T, "lengths", "frames").to(log_probs.device)
        if targets is None:
            return cls(log_probs, lengths, None, None, blank)
        if target_lengths is None:
            raise InputError("targets without target_lengths: give the number of tokens of each utterance")
        padded, counts = _targets(targets, target_lengths, B)
        _labels(padded, counts, V, blank)
        return cls(log_probs, lengths, padded.to(log_probs.device), counts.to(log_probs.device), blank)

    def required_targets(self) -> tuple[Int[Tensor, "B U"], Int[Tensor, " B"]]:
        """Targets and their lengths.

        Raises:
            InputError: None were given.
        """
        if self.targets is None or self.target_lengths is None:
            raise InputError("this loss compares with the reference: give targets and target_lengths")
        return self.targets, self.target_lengths

    @property
    def possible(self) -> Bool[Tensor, " B"]:
        """Whether an utterance has frames enough for its target: one per token and one blank per repeat."""
        targets, counts = self.required_targets()
        inside = torch.arange(max(targets.shape[1] - 1, 0), device=self.lengths.device)
        repeats = (targets[:, 1:] == targets[:, :-1]) & (inside < counts[:, None] - 1)
        return self.lengths >= counts + repeats.sum(1)


def _lengths(values: Tensor, B: int, most: int, name: str, unit: str) -> Int[Tensor, " B"]:
    values = torch.as_tensor(values)
    if values.shape != (B,):
        raise InputError(f"{name} has shape {tuple(values.shape)}: give one number for each of {B} utterances")
    if values.is_floating_point() or values.dtype == torch.bool:
        raise InputError(f"{name} holds {values.dtype}: give whole numbers")
    if B and (int(values.min()) < 0 or int(values.max()) > most):
        raise InputError(f"{name} runs from {int(values.min())} to {int(values.max())}: there are {most} {unit}")
    return values.long()


def _targets(targets: Tensor, target_lengths: Tensor, B: int) -> tuple[Tensor, Tensor]:
    """Brings concatenated or padded targets to (B, U) with zeros beyond each end."""
    if targets.ndim == 1:
        counts = _lengths(target_lengths, B, len(targets), "target_lengths", "tokens")
        if int(counts.sum()) != len(targets):
            raise InputError(f"target_lengths sum to {int(counts.sum())}, but targets holds {len(targets)} tokens")
        parts = torch.split(targets, counts.tolist())
        return torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True).long(), counts
    if targets.ndim != 2 or len(targets) != B:
        raise InputError(f"targets has shape {tuple(targets.shape)}: give {B} rows, or all tokens in one row")
    counts = _lengths(target_lengths, B, targets.shape[1], "target_lengths", "tokens")
    inside = torch.arange(targets.shape[1], device=targets.device) < counts.to(targets.device)[:, None]
    return torch.where(inside, targets.long(), 0), counts


def _labels(targets: Tensor, counts: Tensor, V: int, blank: int) -> None:
    inside = torch.arange(targets.shape[1], device=targets.device) < counts.to(targets.device)[:, None]
    used = targets[inside]
    if len(used) and (int(used.min()) < 0 or int(used.max()) >= V):
        raise InputError(f"targets hold label {int(used.max())}, the model has labels 0 to {V - 1}")
    if bool((used == blank).any()):
        raise InputError(f"targets hold the blank ({blank}): take it out, CTC puts blanks where they belong")
