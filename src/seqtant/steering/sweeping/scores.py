"""What was read off a model at some strengths: log-probabilities per item, and the two sides of the trade-off."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

Scores = Float[np.ndarray, "strengths continuations"]


@dataclass(frozen=True)
class Behavior:
    """Behavior prompts at some strengths."""

    strengths: tuple[float, ...]
    """The strengths, in the order of the rows."""
    good: list[Scores]
    """Per prompt: log-probabilities of its good continuations."""
    bad: list[Scores]
    """Per prompt: log-probabilities of its bad ones."""

    @cached_property
    def log_odds(self) -> Float[np.ndarray, "strengths prompts"]:
        """Log P(good) - log P(bad): the soft score, which does not saturate where words do."""
        pairs = zip(self.good, self.bad, strict=True)
        return np.stack(
            [np.logaddexp.reduce(good, axis=1) - np.logaddexp.reduce(bad, axis=1) for good, bad in pairs], axis=1
        )

    @cached_property
    def alignment(self) -> Float[np.ndarray, "strengths prompts"]:
        """B = (P(good) - P(bad)) / (P(good) + P(bad)) of each prompt."""
        return np.tanh(self.log_odds / 2)

    @cached_property
    def mass(self) -> Float[np.ndarray, "strengths prompts"]:
        """P(good) + P(bad): how much of the model's replies the score speaks of."""
        both = [np.concatenate(pair, axis=1) for pair in zip(self.good, self.bad, strict=True)]
        return np.exp(np.stack([np.logaddexp.reduce(scores, axis=1) for scores in both], axis=1))

    def pair_gaps(self, strength: float) -> tuple[Float[np.ndarray, " prompts"], Float[np.ndarray, " prompts"]]:
        """Worst and mean gap per unit of strength between changes of good and of bad log-probabilities.

        The worst gap over all pairs is the margin of Theorem 1; the mean, weighted by probability at strength 0,
        is what predicts the slope.
        """
        row, zero = self.strengths.index(strength), self.strengths.index(0.0)
        worst, mean = [], []
        for good, bad in zip(self.good, self.bad, strict=True):
            up, down = good[row] - good[zero], bad[row] - bad[zero]
            worst.append((up.min() - down.max() if strength > 0 else up.max() - down.min()) / strength)
            mean.append((_weighted(up, good[zero]) - _weighted(down, bad[zero])) / strength)
        return np.array(worst), np.array(mean)


@dataclass(frozen=True)
class Helpfulness:
    """Helpfulness items at some strengths."""

    strengths: tuple[float, ...]
    """The strengths, in the order of the rows."""
    restricted: Float[np.ndarray, "strengths items"]
    """Probability of the right answer among the options; for texts one over the perplexity."""
    full: Float[np.ndarray, "strengths items"]
    """Probability of the right answer among all tokens; for texts one over the perplexity."""
    format_rate: Float[np.ndarray, "strengths items"]
    """Probability that the reply is one of the options at all; 1 for texts."""
    right: Float[np.ndarray, "strengths items"]
    """1 where the right answer is the likeliest option (accuracy); for texts one over the perplexity."""
    chance: float
    """Restricted score of a guess: the mean of one over the number of options; 0 for texts."""


@dataclass(frozen=True)
class Readings:
    """Both sides at the same strengths."""

    strengths: tuple[float, ...]
    behavior: Behavior
    helpfulness: Helpfulness


Measure = Callable[[Sequence[float]], Readings]
"""Measures the same items at any strengths."""


def questions_read(strengths: Sequence[float], scores: Sequence[Scores], answers: Sequence[int]) -> Helpfulness:
    """Multiple choice from the log-probabilities of all options.

    Example:
        >>> read = questions_read([0.0], [np.log([[0.4, 0.1]])], [0])
        >>> read.restricted.round(3).tolist(), read.full.round(3).tolist(), read.format_rate.round(3).tolist()
        ([[0.8]], [[0.4]], [[0.5]])
    """
    total = np.stack([np.logaddexp.reduce(own, axis=1) for own in scores], axis=1)
    right = np.stack([own[:, answer] for own, answer in zip(scores, answers, strict=True)], axis=1)
    best = np.stack([own.argmax(axis=1) == answer for own, answer in zip(scores, answers, strict=True)], axis=1)
    chance = float(np.mean([1 / own.shape[1] for own in scores]))
    return Helpfulness(
        tuple(strengths), np.exp(right - total), np.exp(right), np.exp(total), best.astype(np.float64), chance
    )


def passages_read(strengths: Sequence[float], scores: Sequence[Scores], lengths: Sequence[int]) -> Helpfulness:
    """One over the perplexity of each text, from its log-probability and its number of scored tokens."""
    likely = np.exp(np.stack([own[:, 0] / length for own, length in zip(scores, lengths, strict=True)], axis=1))
    return Helpfulness(tuple(strengths), likely, likely, np.ones_like(likely), likely, 0.0)


def _weighted(changes: np.ndarray, log_weights: np.ndarray) -> float:
    weights = np.exp(log_weights - np.logaddexp.reduce(log_weights))
    return float(weights @ changes)
