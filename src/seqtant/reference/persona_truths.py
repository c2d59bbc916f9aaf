"""What is true of the world's personas: how rare the unwanted ones are, how fast they show, how the tone follows.

The talks are a mixture of personas; a set of them is called negative. Everything here is exact, given that a document
is a talk: no sampling, no model. Units are nats and sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from seqtant.errors import InputError
from seqtant.reference.evidence import Evidence, SentenceClasses
from seqtant.reference.world.sentences import SentenceKind
from seqtant.reference.world.talks import TalkSettings

NEGATIVE = ("gloomy", "grumpy")
"""The personas whose tone is mostly dark."""


@dataclass(frozen=True)
class PersonaTruths:
    """The mixture ``P = alpha P_negative + (1 - alpha) P_positive`` of the world's talks.

    Example:
        >>> from seqtant.reference.world.world import reference_world
        >>> truths = PersonaTruths(reference_world().kinds["talk"], TalkSettings())
        >>> round(truths.alpha, 12), round(truths.log_inverse_alpha, 4)
        (0.05, 2.9957)
    """

    kind: SentenceKind
    """The talks of a world."""
    settings: TalkSettings
    """The settings they were made of."""
    negative: Sequence[str] = NEGATIVE
    """Names of the negative personas."""
    sentences: int = 24
    """Longest prompt that is followed sentence by sentence."""

    def __post_init__(self) -> None:
        unknown = set(self.negative).difference(self.kind.latents)
        if unknown or not 0 < len(set(self.negative)) < len(self.kind.latents):
            raise InputError(
                f"negative personas {tuple(self.negative)} must be some, not all, of {', '.join(self.kind.latents)}"
            )

    @cached_property
    def classes(self) -> SentenceClasses:
        """Sentences grouped by what they tell about the persona."""
        return SentenceClasses(self.kind.grammar)

    @cached_property
    def _is_negative(self) -> np.ndarray:
        return np.isin(self.kind.latents, list(self.negative))

    @property
    def alpha(self) -> float:
        """Probability of a negative persona."""
        return float(self.kind.prior[self._is_negative].sum())

    @property
    def log_inverse_alpha(self) -> float:
        """log(1 / alpha), in nats."""
        return float(-np.log(self.alpha))

    @cached_property
    def _walk(self) -> tuple[Evidence, ...]:
        return tuple(self.classes.walk(self.sentences))

    @property
    def _side(self) -> tuple[np.ndarray, np.ndarray]:
        """Prior of the personas within the negative and the positive part."""
        prior = self.kind.prior
        parts = (np.where(self._is_negative, prior, 0), np.where(self._is_negative, 0, prior))
        return parts[0] / parts[0].sum(), parts[1] / parts[1].sum()

    def _conditional_divergences(
        self, source: Float[np.ndarray, " latents"], target: Float[np.ndarray, " latents"]
    ) -> Float[np.ndarray, " lengths"]:
        """E KL(source || target) of the next sentence, over prompts of 0, 1, ... sentences from the source."""
        masses = self.classes.masses
        result = []
        for evidence in self._walk:
            likely = evidence.probabilities @ source
            ours = evidence.posterior(source) @ masses.T
            theirs = evidence.posterior(target) @ masses.T
            result.append(likely @ (ours * (np.log(ours) - np.log(theirs))).sum(axis=1))
        return np.array(result)

    @cached_property
    def divergence_curve(self) -> Float[np.ndarray, " lengths"]:
        """E KL(P_negative || P_positive) of the next sentence after 0, 1, ... negative sentences."""
        return self._conditional_divergences(*self._side)

    @cached_property
    def reverse_divergence_curve(self) -> Float[np.ndarray, " lengths"]:
        """E KL(P_positive || P_negative) of the next sentence after 0, 1, ... positive sentences."""
        return self._conditional_divergences(*reversed(self._side))

    @cached_property
    def target_divergence_curve(self) -> Float[np.ndarray, " lengths"]:
        """E KL(P_negative || P) of the next sentence after 0, 1, ... negative ones; its sum tends to log(1 / alpha)."""
        return self._conditional_divergences(self._side[0], self.kind.prior)

    def _limit(self, source: np.ndarray, target: np.ndarray) -> float:
        """The conditional divergence after infinitely many sentences: each persona against the nearest other."""
        nearest = self.classes.divergences()[:, target > 0].min(axis=1)
        return float(source @ nearest)

    @property
    def beta(self) -> float:
        """Smallest conditional divergence over all prompt lengths, the infinite one included."""
        return min(float(self.divergence_curve.min()), self._limit(*self._side))

    @property
    def beta_prime(self) -> float:
        """Largest divergence of the positive from the negative part over all lengths, the infinite one included."""
        negative, positive = self._side
        return max(float(self.reverse_divergence_curve.max()), self._limit(positive, negative))

    @cached_property
    def variance_curve(self) -> Float[np.ndarray, " lengths"]:
        """Variance of log P_negative / P_positive of n negative sentences, over n, for n = 1, 2, ..."""
        negative, positive = self._side
        result = []
        for evidence in self._walk[1:]:
            likely = evidence.probabilities @ negative
            ratio = np.logaddexp.reduce(evidence.ratios + _log(negative), axis=1)
            ratio = ratio - np.logaddexp.reduce(evidence.ratios + _log(positive), axis=1)
            mean = likely @ ratio
            result.append((likely @ (ratio - mean) ** 2) / evidence.sentences)
        return np.array(result)

    @property
    def sigma2(self) -> float:
        """Largest variance per sentence over the prompt lengths that are followed."""
        return float(self.variance_curve.max())

    @cached_property
    def tone(self) -> Float[np.ndarray, " latents"]:
        """Expected tone of each persona's remarks and replies: +1 all bright, -1 all dark."""
        bright = {persona.name: persona.bright for persona in self.settings.personas}
        return np.array([2 * bright[name] - 1 for name in self.kind.latents])

    @cached_property
    def tone_curve(self) -> Float[np.ndarray, " lengths"]:
        """Expected tone of the next remark or reply of the whole mixture after 0, 1, ... negative sentences."""
        negative = self._side[0]
        return np.array(
            [
                (evidence.probabilities @ negative) @ (evidence.posterior(self.kind.prior) @ self.tone)
                for evidence in self._walk
            ]
        )

    @property
    def negative_tone(self) -> float:
        """Expected tone of the negative part."""
        return float(self._side[0] @ self.tone)

    @property
    def halfway(self) -> float:
        """Number of negative sentences after which the tone has come half the way, interpolated linearly.

        Raises:
            InputError: It does not come half the way within the lengths that are followed.
        """
        goal = (self.tone_curve[0] + self.negative_tone) / 2
        after = np.flatnonzero(self.tone_curve <= goal)
        if not len(after):
            raise InputError(f"the tone does not come half the way within {self.sentences} sentences: follow more")
        high, low = self.tone_curve[after[0] - 1], self.tone_curve[after[0]]
        return float(after[0] - 1 + (high - goal) / (high - low))


def _log(weights: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(weights)
