"""Exact bookkeeping of evidence: what n independent sentences say about the hidden value, with its whole distribution.

Sentences that tell all hidden values apart alike form one class. After n sentences the evidence depends only on how
often each class came, so its distribution is a finite table, grown sentence by sentence and merged where evidence
coincides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from seqtant.reference.world.grammar import Grammar

_DIGITS = 9
_NEGLIGIBLE = 1e-17


def divergence(first: Float[np.ndarray, " outcomes"], second: Float[np.ndarray, " outcomes"]) -> float:
    """Kullback-Leibler divergence of two positive distributions, in nats.

    Example:
        >>> round(divergence(np.array([0.9, 0.1]), np.array([0.5, 0.5])), 6)
        0.368064
    """
    return float((first * (np.log(first) - np.log(second))).sum())


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
        relative = np.round(grammar.log_probabilities - grammar.log_probabilities[:, :1], _DIGITS)
        _, self.members = np.unique(relative, axis=0, return_inverse=True)
        self.members: Int[np.ndarray, " sentences"] = self.members.ravel()
        masses = np.zeros((self.members.max() + 1, grammar.latents))
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
        latents = self.masses.shape[1]
        now = Evidence(0, np.zeros((1, latents)), np.zeros(1))
        yield now
        logs = np.log(self.masses)
        for count in range(1, sentences + 1):
            now = self._step(now, logs, count)
            yield now

    def _step(self, now: Evidence, logs: Float[np.ndarray, "classes latents"], count: int) -> Evidence:
        ratios = (now.ratios[:, None] + (logs - logs[:, :1])).reshape(-1, logs.shape[1])
        weights = (now.log_reference[:, None] + logs[:, 0]).ravel()
        _, first, member = np.unique(np.round(ratios, _DIGITS - 1), axis=0, return_index=True, return_inverse=True)
        member = member.ravel()
        highest = np.full(len(first), -np.inf)
        np.maximum.at(highest, member, weights)
        sums = np.zeros(len(first))
        np.add.at(sums, member, np.exp(weights - highest[member]))
        merged, log_reference = ratios[first], highest + np.log(sums)
        kept = (log_reference[:, None] + merged).max(axis=1) > np.log(_NEGLIGIBLE)
        return Evidence(count, merged[kept], log_reference[kept])
