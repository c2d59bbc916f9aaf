"""A finite set of sentences whose probabilities depend on a hidden variable, as a tree of next words.

The probability of the next word is the mass of the sentences below it over the mass of all sentences that still fit:
exact for any set of sentences, whatever words they share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from seqtant.errors import InputError
from seqtant.reference.world.vocabulary import Vocabulary

Sentence = tuple[int, ...]
PADDING = -1
"""Fills sentences of a table up to the longest one; never a token."""


@dataclass(frozen=True)
class Node:
    """A place in the tree: which words may come next, and how likely under each value of the hidden variable."""

    tokens: Int[np.ndarray, " words"]
    """Possible next tokens; empty where a sentence is complete."""
    children: tuple[int, ...]
    """Node after each of them."""
    log_conditionals: Float[np.ndarray, "words latents"]
    """Log p(token | words so far, hidden value)."""

    @cached_property
    def place(self) -> dict[int, int]:
        """Index of each token among ``tokens``."""
        return {int(token): index for index, token in enumerate(self.tokens)}


class Grammar:
    """Sentences with their probabilities under each hidden value, and the tree of their words.

    Args:
        sentences: Token ids; no sentence may begin another.
        probabilities: p(sentence | hidden value), (sentences, latents); positive columns that sum to one.

    Raises:
        InputError: The columns are no probabilities, or one sentence begins another.

    Example:
        >>> grammar = Grammar([(4, 5), (4, 6)], np.array([[0.25], [0.75]]))
        >>> np.exp(grammar.nodes[1].log_conditionals[:, 0]).tolist()
        [0.25, 0.75]
    """

    def __init__(self, sentences: Sequence[Sentence], probabilities: Float[np.ndarray, "sentences latents"]) -> None:
        merged: dict[Sentence, np.ndarray] = {}
        for sentence, row in zip(sentences, np.asarray(probabilities, dtype=np.float64), strict=True):
            merged[sentence] = merged.get(sentence, 0.0) + row
        self.sentences = tuple(merged)
        self.probabilities: Float[np.ndarray, "sentences latents"] = np.array(list(merged.values()))
        sums = self.probabilities.sum(axis=0)
        if (self.probabilities <= 0).any() or not np.allclose(sums, 1, atol=1e-12):
            raise InputError(f"sentence probabilities must be positive and sum to 1 for every hidden value, got {sums}")
        self.nodes = self._grow()

    @property
    def latents(self) -> int:
        """Number of hidden values."""
        return self.probabilities.shape[1]

    @cached_property
    def index(self) -> dict[Sentence, int]:
        """Number of each sentence."""
        return {sentence: number for number, sentence in enumerate(self.sentences)}

    @cached_property
    def log_probabilities(self) -> Float[np.ndarray, "sentences latents"]:
        """Log p(sentence | hidden value)."""
        return np.log(self.probabilities)

    @cached_property
    def table(self) -> Int[np.ndarray, "sentences longest"]:
        """The sentences as rows, filled up with -1."""
        rows = np.full((len(self.sentences), max(map(len, self.sentences))), PADDING, dtype=np.int64)
        for row, sentence in zip(rows, self.sentences, strict=True):
            row[: len(sentence)] = sentence
        return rows

    @cached_property
    def cumulative(self) -> Float[np.ndarray, "latents sentences"]:
        """Cumulative probabilities per hidden value, for drawing sentences."""
        sums = np.cumsum(self.probabilities.T, axis=1)
        return sums / sums[:, -1:]

    def draw(
        self, latents: Int[np.ndarray, " drawn"], generator: np.random.Generator
    ) -> Int[np.ndarray, "drawn longest"]:
        """Draws one sentence for each given hidden value; rows of :attr:`table`."""
        uniform = generator.random(len(latents))
        numbers = np.empty(len(latents), dtype=np.int64)
        for latent in np.unique(latents):
            here = latents == latent
            numbers[here] = np.searchsorted(self.cumulative[latent], uniform[here], side="right")
        return self.table[numbers]

    def _grow(self) -> tuple[Node, ...]:
        links: list[dict[int, int]] = [{}]
        masses: list[np.ndarray] = [np.zeros(self.latents)]
        ends: set[int] = set()
        for sentence, row in zip(self.sentences, self.probabilities, strict=True):
            node = 0
            masses[0] = masses[0] + row
            for token in sentence:
                if token not in links[node]:
                    links[node][token] = len(links)
                    links.append({})
                    masses.append(np.zeros(self.latents))
                node = links[node][token]
                masses[node] = masses[node] + row
            ends.add(node)
        if any(links[node] for node in ends):
            raise InputError("one sentence of the grammar begins another: end every sentence with a mark")
        return tuple(_node(link, mass, masses) for link, mass in zip(links, masses, strict=True))


def _node(link: dict[int, int], mass: np.ndarray, masses: list[np.ndarray]) -> Node:
    tokens = np.array(sorted(link), dtype=np.int64)
    children = tuple(link[int(token)] for token in tokens)
    below = np.array([masses[child] for child in children]).reshape(len(tokens), len(mass))
    return Node(tokens, children, np.log(below) - np.log(mass))


@dataclass(frozen=True)
class Weighted:
    """A sentence and its probability under each hidden value."""

    text: str
    """Words separated by spaces."""
    probabilities: tuple[float, ...]
    """p(sentence | hidden value)."""


def grammar_of(sentences: Iterable[Weighted], vocabulary: Vocabulary) -> Grammar:
    """The grammar of some weighted sentences."""
    listed = list(sentences)
    return Grammar(
        [tuple(vocabulary.encode(sentence.text)) for sentence in listed],
        np.array([sentence.probabilities for sentence in listed]),
    )
