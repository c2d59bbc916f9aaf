"""From text to numbers: bytes, characters, or byte-pair encoding learned from the text itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from seqtant.errors import InputError

TokenKind = Literal["bytes", "characters", "bpe"]


class ByteTokens:
    """The 256 bytes of UTF-8 and a separator, which as in all of them stands between documents.

    Example:
        >>> ByteTokens().encode("aé").tolist(), ByteTokens().vocabulary
        ([97, 195, 169], 257)
    """

    vocabulary = 257
    separator = 256
    fingerprint = "bytes"

    def encode(self, text: str) -> np.ndarray:
        """UTF-8 bytes of a text."""
        return np.frombuffer(text.encode(), dtype=np.uint8)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of some bytes; bytes that are no UTF-8 become the replacement sign."""
        return bytes(token for token in tokens if token < 256).decode(errors="replace")


class CharacterTokens:
    """The characters of a text, an unknown character and a separator.

    Args:
        documents: Texts whose characters are the alphabet.

    Example:
        >>> tokens = CharacterTokens(["abba"])
        >>> tokens.vocabulary, tokens.encode("abc").tolist(), tokens.decode([2, 3, 0, 1])
        (4, [2, 3, 1], 'ab\ufffd')
    """

    separator = 0
    unknown = 1

    def __init__(self, documents: Iterable[str]) -> None:
        alphabet: set[str] = set()
        for text in documents:
            alphabet.update(text)
        self.alphabet = "".join(sorted(alphabet))
        self.vocabulary = len(self.alphabet) + 2
        self._points = np.array([ord(character) for character in self.alphabet], dtype=np.uint32)

    @property
    def fingerprint(self) -> str:
        """The alphabet itself, hashed."""
        return "characters/" + hashlib.sha256(self.alphabet.encode()).hexdigest()

    def encode(self, text: str) -> np.ndarray:
        """Places of the characters in the alphabet, from 2; 1 for a character that is not in it."""
        points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        places = np.searchsorted(self._points, points)
        known = np.append(self._points, 0)[places] == points
        return np.where(known & (places < len(self._points)), places + 2, self.unknown)

    def decode(self, tokens: Sequence[int]) -> str:
        """Characters of some numbers."""
        return "".join("\ufffd" if token == 1 else self.alphabet[token - 2] for token in tokens if token > 0)


class BytePairTokens:
    """Byte-level byte-pair encoding learned from documents.

    Args:
        documents: Texts to learn from.
        vocabulary: Number of tokens, at least 257; fewer come out if the text has no more pairs.

    Example:
        >>> tokens = BytePairTokens(["low lower lowest " * 9], 265)
        >>> tokens.decode(tokens.encode("lower é"))
        'lower é'
    """

    separator = 0

    def __init__(self, documents: Iterable[str], vocabulary: int) -> None:
        if vocabulary < 257:
            raise InputError(f"a byte-pair vocabulary of {vocabulary} is too small: it needs at least 257")
        self._tokenizer = Tokenizer(models.BPE())
        self._tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self._tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=["<|separator|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        self._tokenizer.train_from_iterator(documents, trainer)
        self.vocabulary = self._tokenizer.get_vocab_size()

    @property
    def fingerprint(self) -> str:
        """The learned merges, hashed."""
        return "bpe/" + hashlib.sha256(self._tokenizer.to_str().encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Tokens of a text."""
        return self._tokenizer.encode(text).ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of some tokens."""
        return self._tokenizer.decode([token for token in tokens if token != self.separator])


class TokenWindows:
    """Random windows of a token row, the same for the same seed and step.

    Args:
        tokens: Token row, [n]; may be memory-mapped.
        length: Tokens per window T.
        rows: Windows per step B.
        seed: Seed of the places.
        name: Fingerprint of the tokens, kept with checkpoints.

    Example:
        >>> source = TokenWindows(np.arange(100), length=4, rows=2, seed=0)
        >>> first = source.batch(7)["input_ids"]
        >>> first.shape, torch.equal(first, source.batch(7)["input_ids"]), (first.diff() == 1).all().item()
        (torch.Size([2, 4]), True, True)
    """

    def __init__(self, tokens: np.ndarray, *, length: int, rows: int, seed: int, name: str = "") -> None:
        _refuse_short(tokens, length)
        self.tokens, self.length, self.rows, self.seed = tokens, length, rows, seed
        self.fingerprint = f"windows {name} length {length} rows {rows} seed {seed}"

    def batch(self, step: int) -> dict[str, Int[torch.Tensor, "B T"]]:
        """The windows of one step under ``input_ids``."""
        generator = np.random.default_rng([self.seed, step])
        starts = generator.integers(len(self.tokens) - self.length + 1, size=self.rows)
        return {"input_ids": _cut(self.tokens, starts, self.length)}


def spread_windows(tokens: np.ndarray, *, length: int, most: int) -> Int[torch.Tensor, "N T"]:
    """At most so many windows that do not overlap, spread evenly over a token row: what validates.

    Example:
        >>> spread_windows(np.arange(10), length=3, most=2).tolist()
        [[0, 1, 2], [7, 8, 9]]
    """
    _refuse_short(tokens, length)
    count = min(most, len(tokens) // length)
    starts = np.linspace(0, len(tokens) - length, count).astype(np.int64)
    return _cut(tokens, starts, length)


def _cut(tokens: np.ndarray, starts: np.ndarray, length: int) -> torch.Tensor:
    return torch.from_numpy(tokens[starts[:, None] + np.arange(length)].astype(np.int64))


def _refuse_short(tokens: np.ndarray, length: int) -> None:
    if len(tokens) < length:
        raise InputError(
            f"a text of {len(tokens)} tokens has no window of {length}: give more text or shorten the context"
        )
