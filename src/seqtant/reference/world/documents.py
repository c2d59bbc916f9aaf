"""What all documents have in common: words as tokens, a title, a run of items, and an end after some item.

One word is one token, so that the world's probabilities are those of the model's tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property

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

    @property
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
        counts = np.minimum(generator.geometric(self.end, size=count), most)
        rows = self.draw_items(latents, counts, generator)  # [items, longest], items of a document side by side
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
        other = copy(self)
        other.items = copy(self.items)  # readers of items replace their state and never change it in place
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
