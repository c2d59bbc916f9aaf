"""What all documents have in common: words as tokens, a title, a run of items, and an end after some item.

Talks, books and games are sentences given one hidden value; the tree of their words gives every probability. One word
is one token, so that the world's probabilities are those of the model's tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int

from seqtant.errors import InputError, suggest

PAD, BOS, EOS, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"
SPECIALS = (PAD, BOS, EOS, UNKNOWN)
PAD_ID, BOS_ID, EOS_ID, UNKNOWN_ID = range(4)
PADDING = -1
"""Fills rows of drawn items up to the longest one; never a token."""
NEVER = -np.inf
"""Log-probability of what cannot come."""


@dataclass(frozen=True)
class Vocabulary:
    """Special tokens first, then the words in alphabetical order.

    Example:
        >>> words = Vocabulary.of(["the sky is blue .", "the sea is blue ."])
        >>> words.size, words.encode("the sea"), words.decode([7, 9, 6])
        (10, [9, 7], 'sea the is')
    """

    words: tuple[str, ...]
    """Word of every token id."""

    @classmethod
    def of(cls, texts: Iterable[str]) -> Vocabulary:
        """The vocabulary of some texts, split at spaces."""
        words = {word for text in texts for word in text.split()}
        return cls(SPECIALS + tuple(sorted(words.difference(SPECIALS))))

    @property
    def size(self) -> int:
        """Number of tokens."""
        return len(self.words)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Token id of every word."""
        return {word: index for index, word in enumerate(self.words)}

    def id(self, word: str) -> int:
        """Token id of one word."""
        if word not in self.ids:
            raise InputError(f"the reference world has no word '{word}'{suggest(word, self.ids)}")
        return self.ids[word]

    def encode(self, text: str) -> list[int]:
        """Token ids of a text whose words and punctuation marks are separated by spaces."""
        return [self.id(word) for word in text.split()]

    def decode(self, tokens: Sequence[int]) -> str:
        """The words of some token ids, separated by spaces."""
        return " ".join(self.words[int(token)] for token in tokens)


class Items(ABC):
    """Reads the items of one document, word by word, and gives the probability of each next word.

    Attributes:
        between: Whether an item has just ended (or none has begun).
    """

    between = True

    @abstractmethod
    def log_probs(self, size: int) -> Float[np.ndarray, " vocabulary"]:
        """Log p(next word | document so far), the document's end left aside."""

    @abstractmethod
    def advance(self, token: int) -> float:
        """Reads one word and returns its log-probability; -inf if it cannot come here."""

    @property
    def log_posterior(self) -> Float[np.ndarray, " latents"]:
        """Log p(hidden value | document so far)."""
        return np.zeros(1)


class Kind(ABC):
    """One kind of document.

    Attributes:
        name: First word of every such document.
        vocabulary: Words of the world.
        end: Probability that the document ends after an item.
        latents: Names of the hidden values; one name where nothing is hidden.
        prior: p(hidden value).
        shortest_item: Number of tokens of the shortest item.
    """

    name: str
    vocabulary: Vocabulary
    end: float
    latents: tuple[str, ...] = ("",)
    prior: Float[np.ndarray, " latents"] = np.ones(1)
    shortest_item: int

    @abstractmethod
    def items(self) -> Items:
        """A reader at the start of the first item."""

    @abstractmethod
    def draw_items(
        self,
        latents: Int[np.ndarray, " documents"],
        counts: Int[np.ndarray, " documents"],
        generator: np.random.Generator,
    ) -> Int[np.ndarray, "items longest"]:
        """Draws the items of many documents, one after the other; rows filled up with -1."""

    @cached_property
    def title(self) -> tuple[int, ...]:
        """Tokens every such document begins with, after the beginning-of-sequence token."""
        return (self.vocabulary.id(self.name), self.vocabulary.id(":"))

    def eased(self) -> Kind:
        """The same documents with other probabilities, from which it is easier to learn; by default itself."""
        return self

    def draw(self, count: int, longest: int, generator: np.random.Generator) -> list[Document]:
        """Draws documents, cut after ``longest`` tokens."""
        if count == 0:
            return []
        latents = generator.choice(len(self.latents), size=count, p=self.prior)
        most = -(-longest // self.shortest_item)
        # So many items fill ``longest`` tokens: what the cap leaves out, the end included, is cut off anyway.
        counts = np.minimum(generator.geometric(self.end, size=count), most)
        rows = self.draw_items(latents, counts, generator)  # [items, longest], items of a document side by side
        # Every document has at least one item, so no two places are equal and reduceat sums each document's own rows.
        lengths = np.add.reduceat((rows != PADDING).sum(axis=1), np.cumsum(counts) - counts)
        bodies = np.split(rows[rows != PADDING], np.cumsum(lengths)[:-1])
        opening = np.array((BOS_ID, *self.title))
        closing = np.array([EOS_ID])
        return [
            Document(np.concatenate([opening, body, closing])[:longest], self.name, self.latents[latent])
            for body, latent in zip(bodies, latents, strict=True)
        ]


@dataclass(frozen=True)
class Document:
    """A drawn document and what was hidden in it."""

    tokens: Int[np.ndarray, " length"]
    """Token ids, from the beginning-of-sequence token to the end-of-sequence token or to where it was cut."""
    kind: str
    """Its kind."""
    latent: str
    """Its hidden value; empty where nothing is hidden."""


_Any = TypeVar("_Any")


def copied(reader: _Any) -> _Any:
    """Copies a reader shallowly; ``copy.copy`` takes ten times as long, and a text is read with a copy per word."""
    other = object.__new__(type(reader))
    other.__dict__.update(reader.__dict__)
    return other


class Reading:
    """One document of a known kind, read word by word: title, items, end.

    After the end every further token is padding, with certainty.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.items = kind.items()
        self.read = 0
        self.ended = False

    def copy(self) -> Reading:
        """An independent reading in the same state."""
        other = copied(self)
        other.items = copied(self.items)  # readers of items replace their state and never change it in place
        return other

    @property
    def _certain(self) -> int | None:
        """The next token where only one can come: padding after the end, else a word of the title."""
        if self.ended:
            return PAD_ID
        return self.kind.title[self.read] if self.read < len(self.kind.title) else None

    @property
    def _may_end(self) -> bool:
        return self.items.between and self.read > len(self.kind.title)

    def log_probs(self) -> Float[np.ndarray, " vocabulary"]:
        """Log p(next token | kind, document so far)."""
        size, certain = self.kind.vocabulary.size, self._certain
        if certain is not None:
            result = np.full(size, NEVER)
            result[certain] = 0.0
            return result
        result = self.items.log_probs(size)
        if self._may_end:
            result = result + np.log1p(-self.kind.end)
            result[EOS_ID] = np.log(self.kind.end)
        return result

    def advance(self, token: int) -> float:
        """Reads one token and returns its log-probability; -inf if it cannot come here."""
        certain, may_end = self._certain, self._may_end
        self.read += 1
        if certain is not None:
            return 0.0 if token == certain else NEVER
        if token == EOS_ID:
            self.ended = True
            return float(np.log(self.kind.end)) if may_end else NEVER
        return self.items.advance(token) + (float(np.log1p(-self.kind.end)) if may_end else 0.0)


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
        # The last sum is 1 to the bit, so a uniform number below 1 always finds a sentence.
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
        # p(word | so far) = sum over hidden values of p(value | so far) p(word | words of the sentence, value).
        one = len(self._log_joint) == 1
        mixed = (
            node.log_conditionals[:, 0] if one else np.logaddexp.reduce(node.log_conditionals + self.log_posterior, 1)
        )
        result[node.tokens] = mixed
        return result

    def advance(self, token: int) -> float:
        """Reads one word and returns its log-probability."""
        node = self._grammar.nodes[self._node]
        place = node.place.get(token)
        if place is None:
            return NEVER
        gain = float(node.log_conditionals[place, 0])
        if len(self._log_joint) > 1:
            before = np.logaddexp.reduce(self._log_joint)
            self._log_joint = self._log_joint + node.log_conditionals[place]
            gain = float(np.logaddexp.reduce(self._log_joint) - before)
        child = node.children[place]
        # A complete sentence leads back to the root, where the next one begins.
        self._node = child if len(self._grammar.nodes[child].tokens) else 0
        self.between = self._node == 0
        return gain
