"""Forced alignment in plain torch (Viterbi): which frames a known text occupies, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.ctc.lattice.likelihood import expand_targets, shift_states, skippable
from seqtant.ctc.lattice.paths import CTCInput, frame_mask


@dataclass(frozen=True)
class Span:
    """One token and the frames it holds.

    Args:
        label: Its label.
        start: First frame.
        end: Frame after the last.
        score: Mean log-probability of its frames, nats.
    """

    label: int
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Alignments:
    """The likeliest alignment of each utterance.

    Args:
        paths: Label of each frame, the blank beyond the end, shape (B, T).
        scores: Log-probability of the path, -inf where the target cannot fit, shape (B,).
        spans: Tokens of each utterance on the time axis; empty where the target cannot fit.
    """

    paths: Int[Tensor, "B T"]
    scores: Float[Tensor, " B"]
    spans: list[list[Span]]


@torch.no_grad()
def forced_align(
    log_probs: Float[Tensor, "first second V"],
    lengths: Int[Tensor, " B"],
    targets: Int[Tensor, "*tokens"],
    target_lengths: Int[Tensor, " B"],
    *,
    blank: int = 0,
    batch_first: bool = True,
) -> Alignments:
    """Finds the likeliest path of each target (Viterbi).

    Args:
        log_probs: (B, T, V) or (T, B, V).
        lengths: Frames that count.
        targets: (B, U), or concatenated.
        target_lengths: Tokens that count.
        blank: Index of the blank; negative counts from the end.
        batch_first: Layout of ``log_probs``.

    Raises:
        InputError: Shapes, lengths or labels do not fit together.

    Example:
        >>> sure = torch.tensor([[[0.1, 0.9], [0.2, 0.8], [0.9, 0.1]]]).log()
        >>> result = forced_align(sure, torch.tensor([3]), torch.tensor([[1]]), torch.tensor([1]))
        >>> [(span.label, span.start, span.end) for span in result.spans[0]]
        [(1, 0, 2)]
    """
    data = CTCInput.of(log_probs, lengths, targets, target_lengths, blank=blank, batch_first=batch_first)
    known, counts = data.required_targets()
    possible, T = data.possible, data.log_probs.shape[1]
    states = expand_targets(known, data.blank)
    back, final = _viterbi(data, states, counts)
    # Trace back from the best final state; beyond its end an utterance stays in that state.
    state = torch.where(final.isneginf().all(1), 2 * counts, final.argmax(1))
    visited = torch.zeros(back.shape[:2], dtype=torch.long, device=back.device)  # [B, T]
    for frame in reversed(range(T)):
        visited[:, frame] = state
        step = back[:, frame].gather(1, state[:, None])[:, 0]
        # The index of the winning way (0, 1 or 2) is how many states back it came from, so subtracting it goes back.
        state = torch.where(frame < data.lengths, (state - step).clamp(min=0), state)
    inside = frame_mask(data.lengths, T)
    paths = torch.where(inside, states.gather(1, visited), data.blank)
    scores = data.log_probs.gather(2, paths[..., None])[..., 0]
    scores = torch.where(inside, scores, torch.zeros_like(scores))
    spans: list[list[Span]] = []
    for row, path, each, length, fits in zip(
        visited.tolist(), paths.tolist(), scores.tolist(), data.lengths.tolist(), possible.tolist(), strict=True
    ):
        frames: dict[int, list[int]] = {}  # token's state (an odd number): its frames, without a gap
        for frame in range(length if fits else 0):
            if row[frame] % 2:
                frames.setdefault(row[frame], []).append(frame)
        spans.append(
            [
                Span(path[held[0]], held[0], held[-1] + 1, sum(each[held[0] : held[-1] + 1]) / len(held))
                for held in frames.values()
            ]
        )
    totals = torch.where(possible, scores.sum(1), -torch.inf)
    return Alignments(torch.where(possible[:, None], paths, data.blank), totals, spans)


def _viterbi(
    data: CTCInput, states: Int[Tensor, "B S"], counts: Int[Tensor, " B"]
) -> tuple[Int[Tensor, "B T S"], Float[Tensor, "B S"]]:
    """Finds how many states back the best way into each state came from, and the best scores at each utterance's end.

    ``best_t(s) = e_t(s) + max(best_{t-1}(s), best_{t-1}(s-1), best_{t-1}(s-2) where the skip is allowed)``.
    """
    emissions = data.log_probs.gather(2, states[:, None].expand(-1, data.log_probs.shape[1], -1))  # [B, T, S]
    closed = torch.where(skippable(states), 0.0, -torch.inf).to(emissions)
    best = torch.full_like(closed, -torch.inf)
    # One byte per cell: of all that is kept this grows with T and S.
    back = torch.zeros(emissions.shape, dtype=torch.int8, device=emissions.device)
    end = best
    for frame in range(emissions.shape[1]):
        if frame:
            ways = torch.stack([best, shift_states(best, 1), shift_states(best, 2) + closed])
            top = ways.max(0)
            back[:, frame] = top.indices.to(torch.int8)
            best = top.values + emissions[:, frame]
        else:
            best = best.clone()
            # A path starts in the first blank or in the first token; every other state is still out of reach.
            best[:, :2] = emissions[:, 0, :2]
        # Utterances end at different frames: each row is kept at its own last frame, what follows is padding.
        end = torch.where((data.lengths == frame + 1)[:, None], best, end)
    # An alignment ends in the last token or in the blank behind it.
    places = torch.arange(states.shape[1], device=end.device)
    allowed = (places >= 2 * counts[:, None] - 1) & (places <= 2 * counts[:, None])
    return back.long(), end.masked_fill(~allowed, -torch.inf)
