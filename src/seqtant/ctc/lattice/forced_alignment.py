"""Forced alignment in plain torch: which frames a known text occupies, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.ctc.lattice.inputs import CTCInput
from seqtant.ctc.lattice.lattice import expand_targets, skippable


@dataclass(frozen=True)
class Span:
    """One token on the time axis.

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
    with torch.no_grad():
        data = CTCInput.of(log_probs, lengths, targets, target_lengths, blank=blank, batch_first=batch_first)
        known, counts = data.required_targets()
        states = expand_targets(known, data.blank)
        arrivals, final = _best_arrivals(data, states, counts)
        visited = _trace_back(arrivals, final, data.lengths, counts)
        paths, scores = _paths(data, states, visited)
        spans = [
            _spans(row, path, frames, int(length), possible)
            for row, path, frames, length, possible in zip(
                visited.tolist(), paths.tolist(), scores.tolist(), data.lengths, data.possible.tolist(), strict=True
            )
        ]
        totals = torch.where(data.possible, scores.sum(1), -torch.inf)
        return Alignments(torch.where(data.possible[:, None], paths, data.blank), totals, spans)


def _best_arrivals(
    data: CTCInput, states: Int[Tensor, "B S"], counts: Int[Tensor, " B"]
) -> tuple[Int[Tensor, "B T S"], Float[Tensor, "B S"]]:
    """How many states back the best way into each state came from, and the best scores at each utterance's end."""
    emissions = data.log_probs.gather(2, states[:, None].expand(-1, data.log_probs.shape[1], -1))
    S = states.shape[1]
    closed = torch.where(skippable(states), 0.0, -torch.inf).to(emissions)
    best = torch.full_like(closed, -torch.inf)
    arrivals = torch.zeros(emissions.shape, dtype=torch.int8, device=emissions.device)
    end = best
    for frame in range(emissions.shape[1]):
        if frame:
            ways = torch.stack([best, _from_below(best, 1), _from_below(best, 2) + closed])
            top = ways.max(0)
            arrivals[:, frame] = top.indices.to(torch.int8)
            best = top.values + emissions[:, frame]
        else:
            best = best.clone()
            best[:, :2] = emissions[:, 0, :2]
        end = torch.where((data.lengths == frame + 1)[:, None], best, end)
    places = torch.arange(S, device=end.device)
    allowed = (places >= 2 * counts[:, None] - 1) & (places <= 2 * counts[:, None])
    return arrivals.long(), end.masked_fill(~allowed, -torch.inf)


def _from_below(best: Float[Tensor, "B S"], by: int) -> Float[Tensor, "B S"]:
    moved = torch.full_like(best, -torch.inf)
    moved[:, by:] = best[:, :-by] if by < best.shape[1] else best[:, :0]
    return moved


def _trace_back(
    arrivals: Int[Tensor, "B T S"],
    final: Float[Tensor, "B S"],
    lengths: Int[Tensor, " B"],
    counts: Int[Tensor, " B"],
) -> Int[Tensor, "B T"]:
    """State of each frame on the best path; the last state beyond the end."""
    state = torch.where(final.isneginf().all(1), 2 * counts, final.argmax(1))
    visited = torch.zeros(arrivals.shape[:2], dtype=torch.long, device=arrivals.device)
    for frame in reversed(range(arrivals.shape[1])):
        inside = frame < lengths
        visited[:, frame] = state
        back = arrivals[:, frame].gather(1, state[:, None])[:, 0]
        state = torch.where(inside, (state - back).clamp(min=0), state)
    return visited


def _paths(
    data: CTCInput, states: Int[Tensor, "B S"], visited: Int[Tensor, "B T"]
) -> tuple[Int[Tensor, "B T"], Float[Tensor, "B T"]]:
    """Labels and log-probabilities along the visited states; blank and 0 beyond the end."""
    inside = torch.arange(visited.shape[1], device=visited.device) < data.lengths[:, None]
    paths = torch.where(inside, states.gather(1, visited), data.blank)
    scores = data.log_probs.gather(2, paths[..., None])[..., 0]
    return paths, torch.where(inside, scores, torch.zeros_like(scores))


def _spans(visited: list[int], path: list[int], scores: list[float], length: int, possible: bool) -> list[Span]:
    if not possible:
        return []
    frames: dict[int, list[int]] = {}
    for frame in range(length):
        if visited[frame] % 2:
            frames.setdefault(visited[frame], []).append(frame)
    return [
        Span(path[held[0]], held[0], held[-1] + 1, sum(scores[held[0] : held[-1] + 1]) / len(held))
        for held in frames.values()
    ]
