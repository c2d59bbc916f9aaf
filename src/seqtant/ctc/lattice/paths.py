"""Checked batches of log-probabilities, and paths through them: sampled, scored, collapsed.

A path gives one label to every model frame. Shapes throughout: B utterances, N paths each, T frames, V labels, U target
tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqtant.errors import InputError


@dataclass(frozen=True)
class CTCInput:
    """One checked batch on one device: at least single precision, targets 0 beyond each end, a blank of 0 or more."""

    log_probs: Float[Tensor, "B T V"]
    lengths: Int[Tensor, " B"]
    targets: Int[Tensor, "B U"] | None
    target_lengths: Int[Tensor, " B"] | None
    blank: int

    @classmethod
    def of(
        cls,
        log_probs: Float[Tensor, "first second V"],
        lengths: Int[Tensor, " B"] | Sequence[int] | int,
        targets: Int[Tensor, "*tokens"] | None = None,
        target_lengths: Int[Tensor, " B"] | Sequence[int] | int | None = None,
        *,
        blank: int = 0,
        batch_first: bool = True,
    ) -> CTCInput:
        """Checks a batch and brings it to (B, T, V), padded targets and a blank index of 0 or more."""
        if log_probs.ndim != 3:
            raise InputError(f"log_probs has shape {tuple(log_probs.shape)}: it must hold a batch, frames and labels")
        if not batch_first:
            log_probs = log_probs.transpose(0, 1)
        # Sums over hundreds of frames need more digits than half precision has.
        if log_probs.dtype in {torch.float16, torch.bfloat16}:
            log_probs = log_probs.float()
        B, T, V = log_probs.shape
        if not -V <= blank < V:
            raise InputError(f"blank is {blank}, but there are {V} labels: use 0 to {V - 1}")
        blank %= V
        lengths = _check_lengths(lengths, B, T, "lengths", "frames").to(log_probs.device)
        if targets is None:
            return cls(log_probs, lengths, None, None, blank)
        if target_lengths is None:
            raise InputError("targets without target_lengths: give the number of tokens of each utterance")
        padded, counts = _pad_targets(targets, target_lengths, B)
        used = padded[frame_mask(counts, padded.shape[1])]
        if len(used) and (int(used.min()) < 0 or int(used.max()) >= V):
            raise InputError(f"targets hold label {int(used.max())}, the model has labels 0 to {V - 1}")
        if bool((used == blank).any()):
            raise InputError(f"targets hold the blank ({blank}): take it out, CTC puts blanks where they belong")
        return cls(log_probs, lengths, padded.to(log_probs.device), counts.to(log_probs.device), blank)

    def required_targets(self) -> tuple[Int[Tensor, "B U"], Int[Tensor, " B"]]:
        """Targets and their lengths."""
        if self.targets is None or self.target_lengths is None:
            raise InputError("this loss compares with the reference: give targets and target_lengths")
        return self.targets, self.target_lengths

    @property
    def possible(self) -> Bool[Tensor, " B"]:
        """Whether an utterance has frames enough for its target: one per token and one blank per repeat."""
        targets, counts = self.required_targets()
        # Pair i joins tokens i and i + 1, so counts - 1 pairs are real; equal zeros of the padding are masked out.
        repeats = (targets[:, 1:] == targets[:, :-1]) & frame_mask(counts - 1, max(targets.shape[1] - 1, 0))
        return self.lengths >= counts + repeats.sum(1)


def _check_lengths(values: Tensor | Sequence[int] | int, B: int, most: int, name: str, unit: str) -> Int[Tensor, " B"]:
    values = torch.as_tensor(values)
    if values.shape != (B,):
        raise InputError(f"{name} has shape {tuple(values.shape)}: give one number for each of {B} utterances")
    if values.is_floating_point() or values.dtype == torch.bool:
        raise InputError(f"{name} holds {values.dtype}: give whole numbers")
    if B and (int(values.min()) < 0 or int(values.max()) > most):
        raise InputError(f"{name} runs from {int(values.min())} to {int(values.max())}: there are {most} {unit}")
    return values.long()


def _pad_targets(
    targets: Tensor, target_lengths: Tensor | Sequence[int] | int, B: int
) -> tuple[Int[Tensor, "B U"], Int[Tensor, " B"]]:
    """Brings concatenated or padded targets to (B, U) with zeros beyond each end, on the device of ``targets``."""
    if targets.ndim == 1:
        counts = _check_lengths(target_lengths, B, len(targets), "target_lengths", "tokens").to(targets.device)
        if int(counts.sum()) != len(targets):
            raise InputError(f"target_lengths sum to {int(counts.sum())}, but targets holds {len(targets)} tokens")
        parts = torch.split(targets, counts.tolist())
        return torch.nn.utils.rnn.pad_sequence(list(parts), batch_first=True).long(), counts
    if targets.ndim != 2 or len(targets) != B:
        raise InputError(f"targets has shape {tuple(targets.shape)}: give {B} rows, or all tokens in one row")
    counts = _check_lengths(target_lengths, B, targets.shape[1], "target_lengths", "tokens").to(targets.device)
    # Padding may hold anything, -100 for instance: only the tokens that count are kept.
    return torch.where(frame_mask(counts, targets.shape[1]), targets.long(), 0), counts


@dataclass(frozen=True)
class PathBatch:
    """Sampled paths with all that an edit may look at.

    Args:
        paths: Labels, shape (B, N, T), int64. Never written to in place: edits make new tensors.
        lengths: Frames that count, shape (B,).
        blank: Index of the blank.
        targets: Reference labels, shape (B, U), padded with anything; None where none are known.
        target_lengths: Reference tokens that count, shape (B,).
    """

    paths: Int[Tensor, "B N T"]
    lengths: Int[Tensor, " B"]
    blank: int
    targets: Int[Tensor, "B U"] | None = None
    target_lengths: Int[Tensor, " B"] | None = None

    @property
    def valid(self) -> Bool[Tensor, "B 1 T"]:
        """Frames that count."""
        return frame_mask(self.lengths, self.paths.shape[-1])[:, None]


def frame_mask(lengths: Int[Tensor, " B"], frames: int) -> Bool[Tensor, "B T"]:
    """True for the frames before each utterance's end.

    Example:
        >>> frame_mask(torch.tensor([0, 2]), 3).int().tolist()
        [[0, 0, 0], [1, 1, 0]]
    """
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def sample_paths(
    log_probs: Float[Tensor, "B T V"],
    num_samples: int,
    *,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "B N T"]:
    """Draws every frame's label independently from the model's posterior; no gradient flows back through the draw.

    The temperature flattens (above 1) or sharpens what is drawn from, never what is scored. Frames that hold NaN get
    the last label: their scores are NaN all the same.

    Example:
        >>> sure = torch.tensor([[[0.0, -torch.inf], [-torch.inf, 0.0]]])
        >>> sample_paths(sure, 2).tolist()
        [[[0, 1], [0, 1]]]
    """
    with torch.no_grad():
        # Inverse of the cumulative distribution; the softmax renormalizes after the temperature.
        scaled = log_probs.float() / temperature
        cumulative = torch.softmax(scaled, -1).nan_to_num_(nan=0.0).cumsum(-1)
        shape = (*log_probs.shape[:2], num_samples)
        # The last sum may miss 1 by rounding: scaling the draw by it keeps every draw within the bins.
        draw = torch.rand(shape, generator=generator, device=log_probs.device) * cumulative[..., -1:]
        labels = torch.searchsorted(cumulative, draw, right=True)
        # Rounding can put a draw on the very end of the last bin: it belongs to that bin.
        return labels.clamp_(max=log_probs.shape[-1] - 1).transpose(1, 2).contiguous()


def path_scores(
    log_probs: Float[Tensor, "B T V"], paths: Int[Tensor, "B N T"], lengths: Int[Tensor, " B"], *, epsilon: float = 0.0
) -> Float[Tensor, "B N"]:
    """Log-probability of each path, summed over the frames that count.

    Epsilon is added to the probability inside the logarithm. 0 is right; the code published with the paper uses 1e-7,
    which cuts every frame off at -16.1 nats.

    Example:
        >>> path_scores(torch.tensor([[[-1.0, -2.0], [-3.0, -4.0]]]), torch.tensor([[[0, 1]]]), torch.tensor([2]))
        tensor([[-5.]])
    """
    picked = log_probs.gather(2, paths.transpose(1, 2))
    if epsilon:
        picked = (picked.exp() + epsilon).log()
    # Filled, not multiplied by 0: the padding may hold NaN or -inf.
    outside = ~frame_mask(lengths, paths.shape[-1])
    return picked.masked_fill(outside[..., None], 0.0).sum(1)


@dataclass(frozen=True)
class Collapsed:
    """The texts of paths, padded with -1; ``owner`` is the token that a frame belongs to, -1 for blanks and padding."""

    tokens: Int[Tensor, "B N T"]
    counts: Int[Tensor, "B N"]
    owner: Int[Tensor, "B N T"]


def collapse(batch: PathBatch) -> Collapsed:
    """Merges repeats and drops blanks, in exact lengths.

    Example:
        >>> batch = PathBatch(torch.tensor([[[1, 1, 0, 1, 2]]]), torch.tensor([5]), blank=0)
        >>> collapse(batch).tokens.tolist()
        [[[1, 1, 2, -1, -1]]]
    """
    paths, emitted = batch.paths, (batch.paths != batch.blank) & batch.valid
    # The left neighbor includes blanks, so a token after a blank starts anew even if its label is the same.
    starts = emitted & (paths != previous_labels(paths, batch.blank))
    # Running count of token starts, from 0: the same for all frames of a token.
    owner = torch.where(emitted, starts.cumsum(-1) - 1, -1)
    # One slot more than there are frames takes everything that starts no token.
    slot = torch.where(starts, owner, paths.shape[-1])
    padded = paths.new_full((*paths.shape[:-1], paths.shape[-1] + 1), -1)
    tokens = padded.scatter(-1, slot, paths)[..., :-1]
    return Collapsed(tokens, starts.sum(-1), owner)


def previous_labels(paths: Int[Tensor, "B N T"], blank: int) -> Int[Tensor, "B N T"]:
    """Every frame's left neighbor; a blank stands before the first frame."""
    return torch.cat([paths.new_full((*paths.shape[:-1], 1), blank), paths[..., :-1]], -1)
