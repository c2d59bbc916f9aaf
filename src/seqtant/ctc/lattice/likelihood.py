"""CTC likelihoods in plain torch: exact sums over all alignments of a target, and their exact gradients.

PyTorch's ``ctc_loss`` can neither score arcs nor differentiate inputs that are not normalized; the lattice here can do
both: its gradient is the posterior of every state. State 2u+1 of an utterance is token u, even states are blanks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from seqtant.ctc.lattice.paths import CTCInput, frame_mask

LossFunction = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(scores (B, T, V), lengths, targets (B, U), target_lengths) to the sum of the losses; the blank is label 0."""


def ctc_losses(data: CTCInput) -> Float[Tensor, " B"]:
    """Computes the CTC loss per utterance; 0 without a gradient where the target cannot fit.

    Example:
        >>> half = torch.full((1, 2, 2), 0.5).log()
        >>> one = torch.tensor([1])
        >>> ctc_losses(CTCInput.of(half, one + 1, torch.tensor([[1]]), one))
        tensor([0.2877])
    """
    targets, counts = data.required_targets()
    # PyTorch refuses a batch without frames; the empty sum is 0 and keeps the graph.
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
    """Computes the negative log of the summed weight of all alignments, for scores that are not log-probabilities.

    PyTorch's gradient assumes that ``exp`` of every frame sums to 1: after a bonus, a penalty or a prior it is wrong.
    Normalizing first and taking the normalizers out of the loss makes it exact.

    Example:
        >>> scores = torch.zeros(1, 2, 2)
        >>> one = torch.tensor([1])
        >>> loss = unnormalized_ctc_losses(CTCInput.of(scores, one + 1, torch.tensor([[1]]), one))
        >>> round(float((-loss).exp()), 4)
        3.0
    """
    # A path weighs exp(sum_t score_t) = prod_t Z_t * its probability under the normalized scores: log Z_t is per frame.
    normalizer = data.log_probs.logsumexp(-1)  # [B, T]
    counted = frame_mask(data.lengths, data.log_probs.shape[1])
    normalized = CTCInput(
        data.log_probs - normalizer[..., None], data.lengths, data.targets, data.target_lengths, data.blank
    )
    inside = torch.where(counted, normalizer, torch.zeros_like(normalizer)).sum(1)
    # -log sum_a prod_t Z_t p_t(a_t) = CTC loss of p - sum_t log Z_t.
    return ctc_losses(normalized) - torch.where(data.possible, inside, torch.zeros_like(inside))


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
    """Marks states that may be entered from two states back: tokens that differ from the token before them."""
    may = torch.zeros_like(states, dtype=torch.bool)
    # State 1, the first token, has no token before it; a skip would start at state -1.
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
    """Sums the weights of all alignments of a target, in logs: ``log sum_a exp(sum_t score_t(a_t) + entries)``.

    Scores are any real numbers; log-probabilities give the CTC likelihood. ``entry`` is added where an alignment emits
    token u first at frame t; no gradient flows into it. Where no alignment exists the sum is -inf.

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
    # Scores on entering a state; blanks (even states) have none.
    arcs = emissions.new_zeros(emissions.shape)
    if entry is not None:
        arcs[..., 1::2] = entry.detach().to(arcs.dtype)
    sums: Tensor = _LogSum.apply(emissions, arcs, skippable(states), lengths, target_lengths)  # type: ignore[assignment]
    return sums


class _LogSum(torch.autograd.Function):
    """Sums over alignments; the gradient with respect to an emission is the posterior of its state."""

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, arcs: Tensor, skip: Tensor, lengths: Tensor, target_lengths: Tensor
    ) -> Tensor:
        T, S = emissions.shape[1:]
        states = torch.arange(S, device=emissions.device)
        used = states <= 2 * target_lengths[:, None]
        emissions = emissions.masked_fill(~used[:, None], -torch.inf)
        closed = torch.where(skip, 0.0, -torch.inf).to(emissions)
        # In probabilities: alpha_t(s) = e_t(s) [alpha_t-1(s) + arc_t(s) (alpha_t-1(s-1) + skip(s) alpha_t-1(s-2))].
        current = torch.full_like(emissions[:, 0], -torch.inf)
        current[:, :2] = (emissions + arcs)[:, 0, :2]
        rows = [current]
        for frame in range(1, T):
            entered = _log_add(shift_states(current, 1), shift_states(current, 2) + closed)
            current = _log_add(current, entered + arcs[:, frame]) + emissions[:, frame]
            rows.append(current)
        ahead = torch.stack(rows, 1)  # [B, T, S], the frame's own emission included
        # An alignment ends in the last token or in the blank behind it.
        final = used & (states >= 2 * target_lengths[:, None] - 1)
        # Later rows run on through the padding, but no row before an utterance's end reads them.
        at_end = ahead.gather(1, (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, S)).squeeze(1)
        total = at_end.masked_fill(~final, -torch.inf).logsumexp(1)
        nothing = torch.where(target_lengths == 0, 0.0, -torch.inf).to(total)
        total = torch.where(lengths == 0, nothing, total)
        ctx.save_for_backward(emissions, arcs, skip, lengths, final, ahead, total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        emissions, arcs, skip, lengths, final, ahead, total = ctx.saved_tensors
        T = emissions.shape[1]
        closed = torch.where(skip, 0.0, -torch.inf).to(emissions)
        ends = torch.where(final, 0.0, -torch.inf).to(emissions)
        # beta_t(s): all ways on from state s after frame t, the emission of frame t itself not included.
        current = torch.full_like(ends, -torch.inf)
        rows: list[Tensor] = []
        for frame in reversed(range(T)):
            if frame < T - 1:
                stayed = current + emissions[:, frame + 1]
                entered = stayed + arcs[:, frame + 1]
                # The skip belongs to the state that is entered: close it before shifting it down.
                current = _log_add(stayed, shift_states(entered, -1), shift_states(entered + closed, -2))
            current = torch.where((lengths == frame + 1)[:, None], ends, current)
            rows.append(current)
        behind = torch.stack(rows[::-1], 1)  # [B, T, S]
        # alpha holds the frame's emission and beta does not, so it counts once: alpha * beta / total is the posterior.
        posterior = (ahead + behind - total[:, None, None]).exp()
        # No alignment at all: every posterior would be inf - inf. The gradient of such an utterance is defined as 0.
        counts = frame_mask(lengths, T)[..., None] & torch.isfinite(total)[:, None, None]
        posterior = torch.where(counts, posterior, 0.0)
        return posterior * gradients[0][:, None, None], None, None, None, None


def shift_states(values: Float[Tensor, "B S"], by: int) -> Float[Tensor, "B S"]:
    """Moves the values of states up (by > 0) or down, -inf coming in."""
    if values.shape[-1] <= abs(by):
        return torch.full_like(values, -torch.inf)
    edge = values.new_full((*values.shape[:-1], abs(by)), -torch.inf)
    return torch.cat([edge, values[..., :-by]], -1) if by > 0 else torch.cat([values[..., -by:], edge], -1)


def _log_add(*terms: Tensor) -> Tensor:
    """Log of a sum of exponentials; unlike chained logaddexp it is fast, and -inf stays -inf."""
    top = torch.stack(terms)
    most = top.amax(0)
    # -inf - (-inf) would be NaN: where all terms are -inf subtract 0 instead.
    safe = torch.where(torch.isinf(most), torch.zeros_like(most), most)
    return (top - safe).exp_().sum(0).log_().add_(safe)


@dataclass(frozen=True)
class GradientCheck:
    """The largest difference of a loss's gradient from the exact one, and the largest component of the exact one."""

    error: float
    scale: float

    @property
    def is_right(self) -> bool:
        """Whether they agree to five digits."""
        return self.error <= 1e-5 * max(self.scale, 1e-12)


def check_ctc_gradient(
    loss: LossFunction, *, normalized: bool = True, penalty: Callable[[Tensor], Tensor] | None = None, seed: int = 0
) -> GradientCheck:
    """Compares a CTC loss's gradient with the exact one on random input.

    Args:
        loss: The loss, summed over the batch.
        normalized: Whether the input is a log-softmax; otherwise raw scores, as after a bonus or a prior.
        penalty: Applied to the log-softmax before the loss, for losses that are used on changed scores.
        seed: Of the random input.

    Example:
        >>> def pytorch(scores, lengths, targets, counts):
        ...     scores = scores.transpose(0, 1)
        ...     return torch.nn.functional.ctc_loss(scores, targets, lengths, counts, reduction="sum")
        >>> check_ctc_gradient(pytorch).is_right, check_ctc_gradient(pytorch, normalized=False).is_right
        (True, False)
    """
    generator = torch.Generator().manual_seed(seed)
    # A repeat, a full length and padding: the cases in which losses go wrong.
    logits = torch.randn(3, 8, 5, generator=generator, dtype=torch.float64)
    lengths, counts = torch.tensor([8, 6, 5]), torch.tensor([3, 2, 1])
    targets = torch.tensor([[1, 1, 2], [3, 4, 0], [2, 0, 0]])

    def gradient(function: LossFunction) -> Tensor:
        values = logits.clone().requires_grad_()
        scores = values.log_softmax(-1) if normalized else values
        scores = scores if penalty is None else penalty(scores)
        (found,) = torch.autograd.grad(function(scores, lengths, targets, counts), values)
        return found

    right = gradient(lambda *batch: -alignment_log_sum(*batch, blank=0).sum())
    return GradientCheck(float((gradient(loss) - right).abs().max()), float(right.abs().max()))
