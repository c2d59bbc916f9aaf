"""What every kind of document has in common: a title, a run of items, and a chance of ending after each item."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from seqtant.reference.world.grammar import PADDING
from seqtant.reference.world.vocabulary import BOS_ID, EOS_ID, PAD_ID, Vocabulary

NEVER = -np.inf


class Items(ABC):
    """Reads the items of one document, word by word, and says how likely each next word is."""

    @abstractmethod
    def log_probs(self, size: int) -> Float[np.ndarray, " vocabulary"]:
        """Log p(next word | document so far), the document's end left aside."""

    @abstractmethod
    def advance(self, token: int) -> float:
        """Reads one word and returns its log-probability; -inf if it cannot come here."""

    @property
    @abstractmethod
    def between(self) -> bool:
        """Whether an item has just ended (or none has begun)."""

    @abstractmethod
    def copy(self) -> Items:
        """An independent reader in the same state."""

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
    """

    name: str
    vocabulary: Vocabulary
    end: float
    latents: tuple[str, ...] = ("",)
    prior: Float[np.ndarray, " latents"] = np.ones(1)

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
    @abstractmethod
    def shortest_item(self) -> int:
        """Number of tokens of the shortest item."""

    @property
    def title(self) -> tuple[int, ...]:
        """Tokens every such document begins with, after the beginning-of-sequence token."""
        return (self.vocabulary.id(self.name), self.vocabulary.id(":"))

    def eased(self) -> Kind:
        """The same documents with other chances, from which it is easier to learn; itself where there is no such."""
        return self

    def draw(self, count: int, longest: int, generator: np.random.Generator) -> list[Document]:
        """Draws documents, cut after ``longest`` tokens.

        Args:
            count: Number of documents.
            longest: Most tokens of a document.
            generator: Source of chance.
        """
        if count == 0:
            return []
        latents = generator.choice(len(self.latents), size=count, p=self.prior)
        most = -(-longest // self.shortest_item)
        counts = np.minimum(generator.geometric(self.end, size=count), most)
        rows = self.draw_items(latents, counts, generator)
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
        other = object.__new__(Reading)
        other.kind, other.read, other.ended = self.kind, self.read, self.ended
        other.items = self.items.copy()
        return other

    def log_probs(self) -> Float[np.ndarray, " vocabulary"]:
        """Log p(next token | kind, document so far)."""
        size = self.kind.vocabulary.size
        if self.ended or self.read < len(self.kind.title):
            sure = PAD_ID if self.ended else self.kind.title[self.read]
            result = np.full(size, NEVER)
            result[sure] = 0.0
            return result
        result = self.items.log_probs(size)
        if self._may_end:
            result = result + np.log1p(-self.kind.end)
            result[EOS_ID] = np.log(self.kind.end)
        return result

    def advance(self, token: int) -> float:
        """Reads one token and returns its log-probability; -inf if it cannot come here."""
        if self.ended or self.read < len(self.kind.title):
            sure = PAD_ID if self.ended else self.kind.title[self.read]
            self.read += 1
            return 0.0 if token == sure else NEVER
        may_end = self._may_end
        self.read += 1
        if token == EOS_ID:
            self.ended = True
            return float(np.log(self.kind.end)) if may_end else NEVER
        return self.items.advance(token) + (float(np.log1p(-self.kind.end)) if may_end else 0.0)

    @property
    def _may_end(self) -> bool:
        return self.items.between and self.read > len(self.kind.title)
