"""Documents of independent sentences given one hidden value (talks, books, games), and the tree of their words.

The probability of the next word is the mass of the sentences below it over the mass of all sentences that still fit:
exact for any finite set of sentences, whatever words they share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from seqtant.errors import InputError
from seqtant.reference.world.documents import NEVER, PADDING, Items, Kind, Vocabulary

Sentence = tuple[int, ...]


@dataclass(frozen=True)
class Weighted:
    """A sentence and its probability under each hidden value."""

    text: str
    """Words separated by spaces."""
    probabilities: tuple[float, ...]
    """p(sentence | hidden value)."""


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
        # The tree: node 0 is the root; a node's mass is the probability of all sentences that pass through it.
        nothing = np.zeros(self.probabilities.shape[1])
        links: list[dict[int, int]] = [{}]
        masses: list[np.ndarray] = [nothing]
        ends: set[int] = set()
        for sentence, row in zip(self.sentences, self.probabilities, strict=True):
            node = 0
            masses[0] = masses[0] + row
            for token in sentence:
                if token not in links[node]:
                    links[node][token] = len(links)
                    links.append({})
                    masses.append(nothing)
                node = links[node][token]
                masses[node] = masses[node] + row
            ends.add(node)
        if any(links[node] for node in ends):
            raise InputError("one sentence of the grammar begins another: end every sentence with a mark")
        nodes: list[Node] = []
        for link, mass in zip(links, masses, strict=True):
            tokens = sorted(link)
            below = np.array([masses[link[token]] for token in tokens]).reshape(len(tokens), len(mass))
            # p(token | words so far) = mass below the token / mass here
            logs = np.log(below) - np.log(mass)
            nodes.append(Node(np.array(tokens, dtype=np.int64), tuple(link[token] for token in tokens), logs))
        self.nodes = tuple(nodes)
        longest = max(map(len, self.sentences))
        self.table: Int[np.ndarray, "sentences longest"] = np.array(
            [sentence + (PADDING,) * (longest - len(sentence)) for sentence in self.sentences], dtype=np.int64
        )
        cumulative = np.cumsum(self.probabilities.T, axis=1)
        self.cumulative: Float[np.ndarray, "latents sentences"] = cumulative / cumulative[:, -1:]

    @classmethod
    def of(cls, sentences: Iterable[Weighted], vocabulary: Vocabulary) -> Grammar:
        """Builds the grammar of some weighted sentences."""
        listed = list(sentences)
        tokens = [tuple(vocabulary.encode(sentence.text)) for sentence in listed]
        return cls(tokens, np.array([sentence.probabilities for sentence in listed]))

    def draw(
        self, latents: Int[np.ndarray, " drawn"], generator: np.random.Generator
    ) -> Int[np.ndarray, "drawn longest"]:
        """Draws one sentence for each given hidden value by inverting the cumulative sum; rows of :attr:`table`."""
        uniform = generator.random(len(latents))
        numbers = np.empty(len(latents), dtype=np.int64)
        for latent in np.unique(latents):
            here = latents == latent
            numbers[here] = np.searchsorted(self.cumulative[latent], uniform[here], side="right")
        return self.table[numbers]


class SentenceKind(Kind):
    """A kind of document that draws a hidden value once and then sentence after sentence given it.

    Args:
        name: First word of every such document.
        vocabulary: Words of the world.
        grammar: Sentences and their probabilities under each hidden value.
        prior: Probability of each hidden value by name.
        end: Probability that the document ends after a sentence.
    """

    def __init__(
        self, name: str, vocabulary: Vocabulary, grammar: Grammar, prior: Mapping[str, float], end: float
    ) -> None:
        self.name, self.vocabulary, self.grammar, self.end = name, vocabulary, grammar, end
        self.latents = tuple(prior)
        self.prior = np.array(list(prior.values())) / sum(prior.values())
        self.shortest_item = min(map(len, grammar.sentences))

    def items(self) -> SentenceItems:
        """A reader at the start of the first sentence."""
        return SentenceItems(self.grammar, np.log(self.prior))

    def draw_items(
        self,
        latents: Int[np.ndarray, " documents"],
        counts: Int[np.ndarray, " documents"],
        generator: np.random.Generator,
    ) -> Int[np.ndarray, "items longest"]:
        """Draws the sentences of many documents, one after the other."""
        return self.grammar.draw(np.repeat(latents, counts), generator)

    def eased(self) -> SentenceKind:
        """The same kind with all hidden values alike, so that rare ones are met often."""
        return SentenceKind(self.name, self.vocabulary, self.grammar, dict.fromkeys(self.latents, 1.0), self.end)

    def given(self, latents: Sequence[str]) -> SentenceKind:
        """The same kind with its hidden value known to be one of some."""
        chosen = [self.latents.index(latent) for latent in latents]
        part = Grammar(self.grammar.sentences, self.grammar.probabilities[:, chosen])
        prior = {self.latents[index]: float(self.prior[index]) for index in chosen}
        return SentenceKind(self.name, self.vocabulary, part, prior, self.end)


class SentenceItems(Items):
    """Reads sentences and keeps the exact posterior of the hidden value, in log space."""

    def __init__(self, grammar: Grammar, log_joint: Float[np.ndarray, " latents"]) -> None:
        self._grammar = grammar
        self._log_joint = log_joint
        self._node = 0

    @property
    def log_posterior(self) -> Float[np.ndarray, " latents"]:
        """Log p(hidden value | document so far)."""
        return self._log_joint - np.logaddexp.reduce(self._log_joint)

    def log_probs(self, size: int) -> Float[np.ndarray, " vocabulary"]:
        """Log p(next word | document so far): the mixture over the hidden value."""
        node = self._grammar.nodes[self._node]
        result = np.full(size, NEVER)
        result[node.tokens] = np.logaddexp.reduce(node.log_conditionals + self.log_posterior, axis=1)
        return result

    def advance(self, token: int) -> float:
        """Reads one word and returns its log-probability."""
        node = self._grammar.nodes[self._node]
        place = node.place.get(token)
        if place is None:
            return NEVER
        before = np.logaddexp.reduce(self._log_joint)
        self._log_joint = self._log_joint + node.log_conditionals[place]
        child = node.children[place]
        # A complete sentence leads back to the root, where the next one begins.
        self._node = child if len(self._grammar.nodes[child].tokens) else 0
        self.between = self._node == 0
        return float(np.logaddexp.reduce(self._log_joint) - before)
