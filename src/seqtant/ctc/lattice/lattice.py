"""The CTC lattice in plain torch: sums over all alignments, with a score on every first frame of a token.

PyTorch's ``ctc_loss`` can neither score arcs nor differentiate inputs that are not normalized; this can do both,
and its gradient is exact: the posterior of every state. State 2u+1 of an utterance is token u, even states are blanks.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqtant.ctc.lattice.paths import frame_mask


def expand_targets(targets: Int[Tensor, "B U"], blank: int) -> Int[Tensor, "B S"]:
    """Puts a blank before, between and after the tokens; S = 2U + 1.

    Example:
        >>> expand_targets(torch.tensor([[3, 4]]), blank=0).tolist()
        [[0, 3, 0, 4, 0]]
    """
    states = targets.new_full((len(targets), 2 * targets.shape[1] + 1), blank)
    states[:, 1::2] = targets
    return states


def skippable(states: Int[Tensor, "B S"]) -> Bool[Tensor, "B S"]:
    """Whether a state may be entered from two states back: a token that differs from the token before it."""
    may = torch.zeros_like(states, dtype=torch.bool)
    may[:, 3::2] = states[:, 3::2] != states[:, 1:-2:2]
    return may


def alignment_log_sum(
    scores: Float[Tensor, "B T V"],
    lengths: Int[Tensor, " B"],
    targets: Int[Tensor, "B U"],
    target_lengths: Int[Tensor, " B"],
    *,
    blank: int,
    entry: Float[Tensor, "B T U"] | None = None,
) -> Float[Tensor, " B"]:
    """Log of the summed weight of all alignments of a target.

    Args:
        scores: Score of each label at each frame, any real numbers; log-probabilities give the CTC likelihood.
        lengths: Frames that count.
        targets: Tokens, padded.
        target_lengths: Tokens that count.
        blank: Index of the blank.
        entry: Score added when an alignment emits token u first at frame t; a constant, no gradient flows into it.

    Returns:
        One number per utterance; -inf where no alignment exists.

    Example:
        >>> half = torch.full((1, 2, 2), 0.5).log()
        >>> one = torch.tensor([1])
        >>> alignment_log_sum(half, one + 1, torch.tensor([[1]]), one, blank=0).exp()
        tensor([0.7500])
    """
    if not scores.shape[1]:
        return torch.where(target_lengths == 0, 0.0, -torch.inf).to(scores)
    states = expand_targets(targets, blank)
    emissions = scores.gather(2, states[:, None, :].expand(-1, scores.shape[1], -1))
    arcs = emissions.new_zeros(emissions.shape)
    if entry is not None:
        arcs[..., 1::2] = entry.detach().to(arcs.dtype)
    sums: Tensor = _LogSum.apply(emissions, arcs, skippable(states), lengths, target_lengths)  # type: ignore[assignment]
    return sums


class _LogSum(torch.autograd.Function):
    """Forward and backward sums in one pass; the gradient with respect to emissions is the states' posterior."""

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, arcs: Tensor, skip: Tensor, lengths: Tensor, target_lengths: Tensor
    ) -> Tensor:
        S = emissions.shape[2]
        used = torch.arange(S, device=emissions.device) <= 2 * target_lengths[:, None]
        emissions = emissions.masked_fill(~used[:, None], -torch.inf)
        ahead = _forward_sums(emissions, arcs, skip)
        at_end = ahead.gather(1, (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, S)).squeeze(1)
        final = used & (torch.arange(S, device=used.device) >= 2 * target_lengths[:, None] - 1)
        total = at_end.masked_fill(~final, -torch.inf).logsumexp(1)
        nothing = torch.where(target_lengths == 0, 0.0, -torch.inf).to(total)
        total = torch.where(lengths == 0, nothing, total)
        ctx.save_for_backward(emissions, arcs, skip, lengths, final, ahead, total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        emissions, arcs, skip, lengths, final, ahead, total = ctx.saved_tensors
        behind = _backward_sums(emissions, arcs, skip, lengths, final)
        posterior = (ahead + behind - total[:, None, None]).exp()
        # No alignment at all: every posterior would be inf - inf. The gradient of such an utterance is defined as 0.
        counts = frame_mask(lengths, emissions.shape[1])[..., None] & torch.isfinite(total)[:, None, None]
        posterior = torch.where(counts, posterior, 0.0)
        return posterior * gradients[0][:, None, None], None, None, None, None


def _shift(values: Tensor, by: int) -> Tensor:
    """Moves states up (by > 0) or down, -inf coming in."""
    if values.shape[-1] <= abs(by):
        return torch.full_like(values, -torch.inf)
    edge = values.new_full((*values.shape[:-1], abs(by)), -torch.inf)
    return torch.cat([edge, values[..., :-by]], -1) if by > 0 else torch.cat([values[..., -by:], edge], -1)


def _log_add(*terms: Tensor) -> Tensor:
    """Log of a sum of exponentials; unlike chained logaddexp it is fast, and -inf stays -inf."""
    top = torch.stack(terms)
    most = top.amax(0)
    safe = torch.where(torch.isinf(most), torch.zeros_like(most), most)
    return (top - safe).exp_().sum(0).log_().add_(safe)


def _forward_sums(emissions: Tensor, arcs: Tensor, skip: Tensor) -> Tensor:
    """Sum over all ways to stand in a state at a frame, the frame's emission included; (B, T, S)."""
    closed = torch.where(skip, 0.0, -torch.inf).to(emissions)
    current = torch.full_like(emissions[:, 0], -torch.inf)
    rows: list[Tensor] = []
    for frame in range(emissions.shape[1]):
        if frame:
            entered = _log_add(_shift(current, 1), _shift(current, 2) + closed)
            current = _log_add(current, entered + arcs[:, frame]) + emissions[:, frame]
        else:
            current[:, :2] = (emissions + arcs)[:, 0, :2]
        rows.append(current)
    return torch.stack(rows, 1)


def _backward_sums(emissions: Tensor, arcs: Tensor, skip: Tensor, lengths: Tensor, final: Tensor) -> Tensor:
    """Sum over all ways to go on from a state at a frame to the end, the frame's emission not included; (B, T, S)."""
    T = emissions.shape[1]
    closed = torch.where(skip, 0.0, -torch.inf).to(emissions)
    ends = torch.where(final, 0.0, -torch.inf).to(emissions)
    current = torch.full_like(ends, -torch.inf)
    rows: list[Tensor] = []
    for frame in reversed(range(T)):
        if frame < T - 1:
            stayed = current + emissions[:, frame + 1]
            entered = stayed + arcs[:, frame + 1]
            current = _log_add(stayed, _shift(entered, -1), _shift(entered + closed, -2))
        current = torch.where((lengths == frame + 1)[:, None], ends, current)
        rows.append(current)
    return torch.stack(rows[::-1], 1)
