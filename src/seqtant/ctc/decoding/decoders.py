"""Greedy decoding and prefix beam search: time stamps for every label, frames taken as they come."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TypeAlias

from jaxtyping import Float, Int
from torch import Tensor

from seqtant.ctc.lattice.forced_alignment import Span
from seqtant.errors import InputError

Prefix = tuple[int, ...]


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
    """Decodes a batch greedily: the tokens of each utterance with all frames they hold.

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
    decoded: list[list[Span]] = []
    for labels, scores, length in zip(top.indices.tolist(), top.values.tolist(), lengths.tolist(), strict=True):
        spans: list[Span] = []
        start = 0  # of the run of equal labels that is being read
        # One step past the end closes the last run, whatever label it has.
        for frame in range(1, length + 1):
            if frame == length or labels[frame] != labels[start]:
                if labels[start] != blank:
                    spans.append(Span(labels[start], start, frame, sum(scores[start:frame]) / (frame - start)))
                start = frame
        decoded.append(spans)
    return decoded


@dataclass(frozen=True)
class Hypothesis:
    """One label sequence.

    Args:
        labels: Its labels.
        frames: Frame at which the likeliest alignment first emits each of them.
        score: Log-probability, summed over the alignments the beam kept, plus the language model's score.
    """

    labels: Prefix
    frames: tuple[int, ...]
    score: float


_Alignment: TypeAlias = tuple[float, tuple[int, ...]]


@dataclass
class _Entry:
    """Log-probability of a prefix, split by whether its last frame is a blank, and its time stamps."""

    blank: float = -math.inf
    label: float = -math.inf
    bonus: float = 0.0
    best_blank: _Alignment = (-math.inf, ())
    """The likeliest single alignment that ends in a blank: its log-probability, and the frames that emit."""
    best_label: _Alignment = (-math.inf, ())

    @property
    def score(self) -> float:
        return _log_add(self.blank, self.label) + self.bonus

    @property
    def best(self) -> _Alignment:
        return max(self.best_blank, self.best_label, key=itemgetter(0))


@dataclass
class BeamDecoder:
    """Prefix beam search over chunks of any size; the state is the beam itself.

    With a beam wide enough for all prefixes the scores are exact: log-probabilities summed over all alignments.

    Args:
        width: Prefixes kept after each frame.
        blank: Index of the blank.
        labels_per_frame: Likeliest labels tried at each frame; None tries all.
        language_model: Score in nats of adding a label to a prefix; None for none.

    Example:
        >>> import torch
        >>> decoder = BeamDecoder(width=4)
        >>> decoder.push(torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log())
        >>> [(h.labels, round(math.exp(h.score), 2)) for h in decoder.best(2)]
        [((1,), 0.75), ((), 0.25)]
    """

    width: int = 8
    blank: int = 0
    labels_per_frame: int | None = None
    language_model: Callable[[Prefix, int], float] | None = None
    frames: int = 0
    """Frames seen so far."""
    _beam: dict[Prefix, _Entry] = field(default_factory=lambda: {(): _Entry(blank=0.0, best_blank=(0.0, ()))})

    def __post_init__(self) -> None:
        if self.width < 1:
            raise InputError(f"beam width is {self.width}: keep at least one prefix")

    def push(self, log_probs: Float[Tensor, "T V"]) -> None:
        """Extends the beam by the next frames.

        Raises:
            InputError: A frame holds NaN.
        """
        if bool(log_probs.isnan().any()):
            raise InputError("log-probabilities hold NaN: nothing can be decoded from them")
        for row in log_probs.tolist():
            self._advance(row)
            self.frames += 1

    def best(self, count: int = 1) -> list[Hypothesis]:
        """Returns the likeliest label sequences so far, best first."""
        ranked = sorted(self._beam.items(), key=lambda item: -item[1].score)
        return [Hypothesis(prefix, entry.best[1], entry.score) for prefix, entry in ranked[:count]]

    def _advance(self, row: list[float]) -> None:
        """Extends every prefix of the beam by one frame, then keeps the ``width`` best."""
        labels = range(len(row))
        if self.labels_per_frame is not None:
            labels = sorted(labels, key=lambda label: -row[label])[: self.labels_per_frame]
        tried = [label for label in labels if label != self.blank and row[label] > -math.inf]
        following: dict[Prefix, _Entry] = {}
        for prefix, entry in self._beam.items():
            acoustic = _log_add(entry.blank, entry.label)
            # The prefix stays as it is: by a blank after any of its alignments, or by its last label once more after
            # those that end in that label. Its time stamps are those of the likeliest single alignment, which are kept
            # apart by their ending just as the sums are.
            target = following.setdefault(prefix, _Entry(bonus=entry.bonus))
            # A shorter prefix may have made this entry already at this frame, so its sums are added to, never set.
            target.blank = _log_add(target.blank, acoustic + row[self.blank])
            likeliest, emitted = entry.best
            target.best_blank = _likelier(target.best_blank, (likeliest + row[self.blank], emitted))
            if prefix:
                target.label = _log_add(target.label, entry.label + row[prefix[-1]])
                again = (entry.best_label[0] + row[prefix[-1]], entry.best_label[1])
                target.best_label = _likelier(target.best_label, again)
            for label in tried:
                # After an equal label only alignments that end in a blank start a new token; the others repeat the old.
                repeats = bool(prefix) and prefix[-1] == label
                before, (likeliest, emitted) = (entry.blank, entry.best_blank) if repeats else (acoustic, entry.best)
                if before == -math.inf:
                    continue
                longer = (*prefix, label)
                if longer not in following:
                    bonus = self.language_model(prefix, label) if self.language_model else 0.0
                    following[longer] = _Entry(bonus=entry.bonus + bonus)
                target = following[longer]
                target.label = _log_add(target.label, before + row[label])
                new = (likeliest + row[label], (*emitted, self.frames))
                target.best_label = _likelier(target.best_label, new)
        self._beam = dict(sorted(following.items(), key=lambda item: -item[1].score)[: self.width])


def _likelier(old: _Alignment, new: _Alignment) -> _Alignment:
    return new if new[0] > old[0] else old


def _log_add(a: float, b: float) -> float:
    low, high = min(a, b), max(a, b)
    # With both at -inf the difference would be not a number; exp(low - high) is at most 1, so it cannot overflow.
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
