"""Words and their numbers: one word is one token, so that the world's probabilities are those of the model's tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from seqtant.errors import InputError, suggest

PAD, BOS, EOS, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"
SPECIALS = (PAD, BOS, EOS, UNKNOWN)
PAD_ID, BOS_ID, EOS_ID, UNKNOWN_ID = range(4)


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
        """Token id of one word.

        Raises:
            InputError: The world does not know the word.
        """
        if word not in self.ids:
            raise InputError(f"the reference world has no word '{word}'{suggest(word, self.ids)}")
        return self.ids[word]

    def encode(self, text: str) -> list[int]:
        """Token ids of a text whose words and punctuation marks are separated by spaces.

        Raises:
            InputError: The world does not know a word.
        """
        return [self.id(word) for word in text.split()]

    def decode(self, tokens: Sequence[int]) -> str:
        """The words of some token ids, separated by spaces."""
        return " ".join(self.words[int(token)] for token in tokens)
