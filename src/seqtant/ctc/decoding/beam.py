"""Prefix beam search with time stamps and a state that takes audio as it comes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.errors import InputError

Prefix = tuple[int, ...]


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


@dataclass
class _Entry:
    """Probability of a prefix, split by whether its last frame is a blank, and its time stamps."""

    blank: float = -math.inf
    label: float = -math.inf
    bonus: float = 0.0
    frames: tuple[int, ...] = ()
    best: float = -math.inf

    @property
    def acoustic(self) -> float:
        return _log_add(self.blank, self.label)

    @property
    def score(self) -> float:
        return self.acoustic + self.bonus

    def offer(self, frames: tuple[int, ...], score: float) -> None:
        """Keeps the time stamps of the likeliest way here."""
        if score > self.best:
            self.best, self.frames = score, frames


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
    _beam: dict[Prefix, _Entry] = field(default_factory=lambda: {(): _Entry(blank=0.0, best=0.0)})

    def __post_init__(self) -> None:
        if self.width < 1:
            raise InputError(f"beam width is {self.width}: keep at least one prefix")

    def push(self, log_probs: Float[Tensor, "T V"]) -> None:
        """Takes the next frames in.

        Raises:
            InputError: A frame holds NaN.
        """
        if bool(torch.isnan(log_probs).any()):
            raise InputError("log-probabilities hold NaN: nothing can be decoded from them")
        for row in log_probs.tolist():
            self._advance(row)
            self.frames += 1

    def best(self, count: int = 1) -> list[Hypothesis]:
        """The likeliest label sequences so far, best first."""
        ranked = sorted(self._beam.items(), key=lambda item: -item[1].score)
        return [Hypothesis(prefix, entry.frames, entry.score) for prefix, entry in ranked[:count]]

    def _advance(self, row: list[float]) -> None:
        following: dict[Prefix, _Entry] = {}
        tried = [label for label in self._tried(row) if label != self.blank and row[label] > -math.inf]
        for prefix, entry in self._beam.items():
            self._stay(following, prefix, entry, row)
            for label in tried:
                self._extend(following, prefix, entry, label, row[label])
        kept = sorted(following.items(), key=lambda item: -item[1].score)[: self.width]
        self._beam = dict(kept)

    def _tried(self, row: list[float]) -> list[int]:
        if self.labels_per_frame is None:
            return list(range(len(row)))
        return sorted(range(len(row)), key=lambda label: -row[label])[: self.labels_per_frame]

    def _stay(self, following: dict[Prefix, _Entry], prefix: Prefix, entry: _Entry, row: list[float]) -> None:
        """The prefix goes on unchanged: a blank, or its last label once more."""
        target = following.setdefault(prefix, _Entry(bonus=entry.bonus))
        target.blank = _log_add(target.blank, entry.acoustic + row[self.blank])
        step = row[self.blank]
        if prefix:
            target.label = _log_add(target.label, entry.label + row[prefix[-1]])
            step = max(step, row[prefix[-1]])
        target.offer(entry.frames, entry.best + step)

    def _extend(self, following: dict[Prefix, _Entry], prefix: Prefix, entry: _Entry, label: int, score: float) -> None:
        """The prefix gains a label; after an equal one only from a blank."""
        before = entry.blank if prefix and prefix[-1] == label else entry.acoustic
        if before == -math.inf:
            return
        longer = (*prefix, label)
        if longer not in following:
            bonus = self.language_model(prefix, label) if self.language_model else 0.0
            following[longer] = _Entry(bonus=entry.bonus + bonus)
        target = following[longer]
        target.label = _log_add(target.label, before + score)
        target.offer((*entry.frames, self.frames), entry.best + score)


def _log_add(a: float, b: float) -> float:
    low, high = min(a, b), max(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
