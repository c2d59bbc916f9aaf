"""What is true of the world's personas and few-shot tasks, exactly: no sampling, no model.

Sentences that tell all hidden values apart alike form one class. After n sentences the evidence depends only on how
often each class came, so its distribution is a finite table, grown sentence by sentence and merged where evidence
coincides. Units are nats and sentences (or shots).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from seqtant.errors import InputError
from seqtant.reference.world.documents import Grammar, SentenceKind
from seqtant.reference.world.stories import GameSettings, TalkSettings

NEGATIVE = ("gloomy", "grumpy")
"""The personas whose tone is mostly dark."""
_DIGITS = 9
_NEGLIGIBLE = 1e-17


@dataclass(frozen=True)
class Evidence:
    """The distribution of the evidence after some sentences.

    With log-likelihood ratios ``ratios[s, z] = log p(sentences | z) - log p(sentences | first z)``.
    """

    sentences: int
    """Number of sentences."""
    ratios: Float[np.ndarray, "states latents"]
    """Log-likelihood ratio of every hidden value to the first, per state."""
    log_reference: Float[np.ndarray, " states"]
    """Log p(state | first hidden value)."""

    @cached_property
    def probabilities(self) -> Float[np.ndarray, "states latents"]:
        """p(state | hidden value)."""
        return np.exp(self.log_reference[:, None] + self.ratios)

    def posterior(self, prior: Float[np.ndarray, " latents"]) -> Float[np.ndarray, "states latents"]:
        """p(hidden value | state); hidden values of prior 0 stay excluded."""
        with np.errstate(divide="ignore"):
            joint = self.ratios + np.log(prior)
        return np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))


class SentenceClasses:
    """The sentences of a grammar, grouped by the evidence they give.

    Args:
        grammar: Sentences and their probabilities under each hidden value.
    """

    def __init__(self, grammar: Grammar) -> None:
        logs = np.log(grammar.probabilities)
        relative = np.round(logs - logs[:, :1], _DIGITS)
        _, self.members = np.unique(relative, axis=0, return_inverse=True)
        self.members: Int[np.ndarray, " sentences"] = self.members.ravel()
        masses = np.zeros((self.members.max() + 1, logs.shape[1]))
        np.add.at(masses, self.members, grammar.probabilities)
        self.masses: Float[np.ndarray, "classes latents"] = masses
        """p(class | hidden value)."""

    def divergences(self) -> Float[np.ndarray, "latents latents"]:
        """KL divergence per sentence of every hidden value (row) from every other (column), in nats."""
        logs = np.log(self.masses)
        return np.einsum("cz,czy->zy", self.masses, logs[:, :, None] - logs[:, None, :])

    def variances(self) -> Float[np.ndarray, "latents latents"]:
        """Variance per sentence, under the row's hidden value, of the log-ratio of row to column."""
        logs = np.log(self.masses)
        ratios = logs[:, :, None] - logs[:, None, :]
        return np.einsum("cz,czy->zy", self.masses, ratios**2) - self.divergences() ** 2

    def walk(self, sentences: int) -> Iterator[Evidence]:
        """The evidence after 0, 1, ... sentences; states less likely than 1e-17 under all hidden values are dropped."""
        logs = np.log(self.masses)
        now = Evidence(0, np.zeros((1, logs.shape[1])), np.zeros(1))
        yield now
        for count in range(1, sentences + 1):
            # Every state followed by every class: [states * classes, latents] and [states * classes].
            ratios = (now.ratios[:, None] + (logs - logs[:, :1])).reshape(-1, logs.shape[1])
            weights = (now.log_reference[:, None] + logs[:, 0]).ravel()
            # States of equal evidence are merged: the log-sum-exp of their weights, the largest taken out.
            _, first, member = np.unique(np.round(ratios, _DIGITS - 1), axis=0, return_index=True, return_inverse=True)
            member = member.ravel()
            highest = np.full(len(first), -np.inf)
            np.maximum.at(highest, member, weights)
            sums = np.zeros(len(first))
            np.add.at(sums, member, np.exp(weights - highest[member]))
            merged, log_reference = ratios[first], highest + np.log(sums)
            kept = (log_reference[:, None] + merged).max(axis=1) > np.log(_NEGLIGIBLE)
            now = Evidence(count, merged[kept], log_reference[kept])
            yield now


class PersonaTruths:
    """The mixture ``P = alpha P_negative + (1 - alpha) P_positive`` of the world's talks, given that it is a talk.

    Args:
        kind: The talks of a world.
        settings: The settings they were made of.
        negative: Names of the negative personas.
        sentences: Longest prompt that is followed sentence by sentence.

    Attributes:
        classes: Sentences grouped by what they tell about the persona.
        alpha: Probability of a negative persona.
        log_inverse_alpha: log(1 / alpha), in nats.
        tone: Expected tone of each persona's remarks and replies: +1 all bright, -1 all dark.
        negative_tone: Expected tone of the negative part.

    Raises:
        InputError: The negative personas are not some of all.

    Example:
        >>> from seqtant.reference.world.world import reference_world
        >>> truths = PersonaTruths(reference_world().kinds["talk"], TalkSettings())
        >>> round(truths.alpha, 12), round(truths.log_inverse_alpha, 4)
        (0.05, 2.9957)
    """

    def __init__(
        self, kind: SentenceKind, settings: TalkSettings, negative: Sequence[str] = NEGATIVE, sentences: int = 24
    ) -> None:
        unknown = set(negative).difference(kind.latents)
        if unknown or not 0 < len(set(negative)) < len(kind.latents):
            raise InputError(f"negative personas {tuple(negative)} must be some, not all, of {', '.join(kind.latents)}")
        self.kind, self.settings, self.negative, self.sentences = kind, settings, negative, sentences
        self.classes = SentenceClasses(kind.grammar)
        chosen = np.isin(kind.latents, list(negative))
        self.alpha = float(kind.prior[chosen].sum())
        self.log_inverse_alpha = float(-np.log(self.alpha))
        # Prior of the personas within the negative and within the positive part.
        parts = (np.where(chosen, kind.prior, 0), np.where(chosen, 0, kind.prior))
        self._negative, self._positive = parts[0] / parts[0].sum(), parts[1] / parts[1].sum()
        bright = {persona.name: persona.bright for persona in settings.personas}
        self.tone: Float[np.ndarray, " latents"] = np.array([2 * bright[name] - 1 for name in kind.latents])
        self.negative_tone = float(self._negative @ self.tone)

    @cached_property
    def _walk(self) -> tuple[Evidence, ...]:
        return tuple(self.classes.walk(self.sentences))

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
        return self._conditional_divergences(self._negative, self._positive)

    @cached_property
    def target_divergence_curve(self) -> Float[np.ndarray, " lengths"]:
        """E KL(P_negative || P) of the next sentence after 0, 1, ... negative ones; its sum tends to log(1 / alpha)."""
        return self._conditional_divergences(self._negative, self.kind.prior)

    def _limit(self, source: np.ndarray, target: np.ndarray) -> float:
        """The conditional divergence after infinitely many sentences: each persona against the nearest other."""
        # In the end the source's posterior is sure of the persona, the target's of the one that is nearest to it.
        nearest = self.classes.divergences()[:, target > 0].min(axis=1)
        return float(source @ nearest)

    @property
    def beta(self) -> float:
        """Smallest conditional divergence over all prompt lengths, the infinite one included."""
        return min(float(self.divergence_curve.min()), self._limit(self._negative, self._positive))

    @property
    def beta_prime(self) -> float:
        """Largest divergence of the positive from the negative part over all lengths, the infinite one included."""
        curve = self._conditional_divergences(self._positive, self._negative)
        return max(float(curve.max()), self._limit(self._positive, self._negative))

    @cached_property
    def variance_curve(self) -> Float[np.ndarray, " lengths"]:
        """Variance of log P_negative / P_positive of n negative sentences, over n, for n = 1, 2, ..."""
        with np.errstate(divide="ignore"):
            log_negative, log_positive = np.log(self._negative), np.log(self._positive)
        result = []
        for evidence in self._walk[1:]:
            likely = evidence.probabilities @ self._negative
            ratio = np.logaddexp.reduce(evidence.ratios + log_negative, axis=1)
            ratio = ratio - np.logaddexp.reduce(evidence.ratios + log_positive, axis=1)
            mean = likely @ ratio
            result.append((likely @ (ratio - mean) ** 2) / evidence.sentences)
        return np.array(result)

    @property
    def sigma2(self) -> float:
        """Largest variance per sentence over the prompt lengths that are followed."""
        return float(self.variance_curve.max())

    @cached_property
    def tone_curve(self) -> Float[np.ndarray, " lengths"]:
        """Expected tone of the next remark or reply of the whole mixture after 0, 1, ... negative sentences."""
        return np.array(
            [
                (evidence.probabilities @ self._negative) @ (evidence.posterior(self.kind.prior) @ self.tone)
                for evidence in self._walk
            ]
        )

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


class TaskTruths:
    """The exact mixture of labeling tasks; divergences are KL in nats per shot, rows the true task.

    Args:
        kind: The games of a world.
        settings: The settings they were made of.

    Attributes:
        tasks: Names of the tasks.
        prior: Probability of each task, [tasks].
        divergences: Of a whole shot, [tasks, tasks].
        inputs: p(input | task), [tasks, inputs].
        labels: p(label | input, task), [tasks, inputs, labels].
        input_divergences: Of the inputs alone: what survives random labels, [tasks, tasks].
        label_divergences: Of the labels given the inputs, [tasks, tasks].
        accuracy: Probability that the likeliest label comes, the task being known: the plateau of accuracy against
            shots, [tasks].

    Example:
        >>> from seqtant.reference.world.world import reference_world
        >>> truths = TaskTruths(reference_world().kinds["game"], GameSettings())
        >>> truths.tasks[0], round(float(truths.divergences[0, 1]), 3)
        ('size', 5.872)
    """

    def __init__(self, kind: SentenceKind, settings: GameSettings) -> None:
        self.kind, self.settings = kind, settings
        self.tasks, self.prior = kind.latents, kind.prior
        self.divergences = SentenceClasses(kind.grammar).divergences()
        inputs, tasks = settings.inputs, settings.tasks
        self.inputs = np.array([[settings.input_probability(task, shown) for shown in inputs] for task in tasks])
        self.labels = np.array(
            [
                [[settings.label_probability(task, shown, label) for label in settings.labels] for shown in inputs]
                for task in tasks
            ]
        )
        logs = np.log(self.inputs)
        ratios = logs[:, None] - logs  # [true task, other task, inputs]
        self.input_divergences = (self.inputs[:, None] * ratios).sum(axis=-1)
        # The chain rule: a shot's divergence is that of its input plus that of its label given the input.
        self.label_divergences = self.divergences - self.input_divergences
        self.accuracy = np.einsum("ti,ti->t", self.inputs, self.labels.max(axis=2))
