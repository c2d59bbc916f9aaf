"""The greedy decoder, frame by frame: what a listener sees, and when."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from seqtant.ctc.lattice.forced_alignment import Span


@dataclass
class GreedyDecoder:
    """Takes log-probabilities in chunks of any size and gives each token once, at its first frame.

    Args:
        blank: Index of the blank.

    Example:
        >>> import torch
        >>> decoder = GreedyDecoder()
        >>> sure = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]).log()
        >>> [span.start for span in decoder.push(sure[:2]) + decoder.push(sure[2:])]
        [1]
    """

    blank: int = 0
    frames: int = 0
    """Frames seen so far."""
    last: int | None = None
    """Label of the newest frame."""

    def push(self, log_probs: Float[Tensor, "T V"]) -> list[Span]:
        """Decodes the next frames and returns the tokens that start in them, each one frame long."""
        scores, labels = log_probs.max(-1)
        new: list[Span] = []
        for label, score in zip(labels.tolist(), scores.tolist(), strict=True):
            if label not in (self.blank, self.last):
                new.append(Span(label, self.frames, self.frames + 1, score))
            self.last = label
            self.frames += 1
        return new


def greedy_decode(log_probs: Float[Tensor, "B T V"], lengths: Int[Tensor, " B"], *, blank: int = 0) -> list[list[Span]]:
    """Decodes a batch: the tokens of each utterance with the frames they hold.

    Args:
        log_probs: (B, T, V).
        lengths: Frames that count.
        blank: Index of the blank.

    Example:
        >>> import torch
        >>> sure = torch.tensor([[[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]]).log()
        >>> [(span.label, span.start, span.end) for span in greedy_decode(sure, torch.tensor([3]))[0]]
        [(1, 1, 3)]
    """
    top = log_probs.detach().max(-1)
    rows = zip(top.indices.tolist(), top.values.tolist(), lengths.tolist(), strict=True)
    return [_spans(labels[: int(length)], scores, blank) for labels, scores, length in rows]


def _spans(labels: list[int], scores: list[float], blank: int) -> list[Span]:
    spans: list[Span] = []
    start = 0
    for frame in range(1, len(labels) + 1):
        if frame == len(labels) or labels[frame] != labels[start]:
            if labels[start] != blank:
                spans.append(Span(labels[start], start, frame, sum(scores[start:frame]) / (frame - start)))
            start = frame
    return spans
