"""Words and their errors: label sequences split into words, aligned with the reference, counted."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from seqtant.optional import require


@dataclass(frozen=True)
class Word:
    """One word of a label sequence: its labels, and where they stand in the sequence."""

    labels: tuple[int, ...]
    positions: tuple[int, ...]


@dataclass(frozen=True)
class WordErrors:
    """Counts of one or more aligned utterances; they add up.

    Example:
        >>> (WordErrors(1, 0, 0, 4) + WordErrors(0, 0, 1, 6)).rate
        0.2
    """

    substitutions: int
    insertions: int
    deletions: int
    words: int

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(
            self.substitutions + other.substitutions,
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.words + other.words,
        )

    @property
    def total(self) -> int:
        """All errors."""
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> float | None:
        """Word error rate, a share; None where there is no reference word."""
        return self.total / self.words if self.words else None


def split_words(labels: Sequence[int], space: int | None) -> list[Word]:
    """Splits a label sequence at its spaces; without a space label, every label is a word.

    Example:
        >>> [word.labels for word in split_words([9, 1, 2, 9, 9, 3], space=9)]
        [(1, 2), (3,)]
    """
    if space is None:
        return [Word((label,), (place,)) for place, label in enumerate(labels)]
    words: list[Word] = []
    start = 0
    # Spaces in a row, and at either end, enclose no label and make no word.
    for end in [place for place, label in enumerate(labels) if label == space] + [len(labels)]:
        if end > start:
            words.append(Word(tuple(labels[start:end]), tuple(range(start, end))))
        start = end + 1
    return words


def aligned_pairs(hypothesis: Sequence[Hashable], reference: Sequence[Hashable]) -> list[tuple[int | None, int | None]]:
    """Positions of a least-cost word alignment; None stands for an insertion or deletion.

    Example:
        >>> aligned_pairs(["a", "x", "c"], ["a", "b", "c", "d"])
        [(0, 0), (1, 1), (2, 2), (None, 3)]
    """
    distance = require("rapidfuzz.distance", extra="speech").Levenshtein
    pairs: list[tuple[int | None, int | None]] = []
    # An edit script: ranges [a, b) of the hypothesis against ranges [c, d) of the reference.
    for tag, a, b, c, d in distance.opcodes(list(hypothesis), list(reference)):
        if tag in {"equal", "replace"}:
            pairs += zip(range(a, b), range(c, d), strict=True)
        else:
            pairs += [(place, None) for place in range(a, b)] + [(None, place) for place in range(c, d)]
    return pairs


def word_errors(hypothesis: Sequence[Hashable], reference: Sequence[Hashable]) -> WordErrors:
    """Counts substitutions, insertions and deletions of one utterance.

    Example:
        >>> word_errors("one too three".split(), "one two three four".split())
        WordErrors(substitutions=1, insertions=0, deletions=1, words=4)
    """
    pairs = aligned_pairs(hypothesis, reference)
    substitutions = sum(h is not None and r is not None and hypothesis[h] != reference[r] for h, r in pairs)
    # Every pair holds a word of the hypothesis or is a deletion.
    insertions = sum(r is None for _, r in pairs)
    return WordErrors(substitutions, insertions, len(pairs) - len(hypothesis), len(reference))
