"""Makes pairs, prompts and questions of a steering experiment from labeled reviews and plain English text."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from seqtant.errors import InputError
from seqtant.sources import Rows, describe, read_lines, text_of
from seqtant.steering.data.items import BehaviorPrompt, ContrastPair, Question

T = TypeVar("T")

LABELS = {"pos": True, "positive": True, "neg": False, "negative": False}
"""Label in a file -> whether the review is good."""
PSEUDO_COUNT = 5
"""Occurrences added to every word on both sides, so that rare words have log odds near 0."""
WORD = re.compile(r"[a-z]{4,}")
"""What a cloze may ask for: no punctuation, no short function words."""
MIN_COUNT = 10
"""Least occurrences in the training text of a word that is asked for."""
NEIGHBORS = 40
"""Distractors are drawn from this many words that are about as frequent as the right one."""
COMMON = 100
"""The commonest words, which have no equally frequent distractors, are not asked for (at most every fifth)."""


@dataclass(frozen=True)
class Review:
    """A text, and whether it speaks well of its subject."""

    text: str
    good: bool


def read_reviews(source: Rows) -> list[Review]:
    """Reads reviews with ``text`` and ``label`` (pos or neg), from JSON lines or from memory."""
    reviews = []
    for place, record in read_lines(source, fields=("text", "label")):
        label = text_of(record, "label", place)
        if label not in LABELS:
            raise InputError(f"{place}: 'label' is {label!r}: it must be pos or neg")
        reviews.append(Review(text_of(record, "text", place), LABELS[label]))
    if len({review.good for review in reviews}) < 2:
        raise InputError(f"all texts of '{describe(source)}' have the same label: a direction needs both, pos and neg")
    return reviews


def split_documents(documents: Sequence[T], every: int, fold: int = 0) -> tuple[list[T], list[T]]:
    """Splits documents into a training set and a held-out set, one document in ``every``, from ``fold`` on.

    Example:
        >>> split_documents([1, 2, 3, 4, 5], 2)
        ([2, 4], [1, 3, 5])
        >>> split_documents([1, 2, 3, 4, 5], 2, fold=1)
        ([1, 3, 5], [2, 4])
    """
    held_out = [document for index, document in enumerate(documents) if index % every == fold]
    return [document for index, document in enumerate(documents) if index % every != fold], held_out


def chunk_words(text: str, words: int) -> list[str]:
    """Cuts a text into consecutive chunks of ``words`` lower-case words; a shorter rest is dropped.

    Example:
        >>> chunk_words("one two three four five", 2)
        ['one two', 'three four']
    """
    found = text.lower().split()
    return [" ".join(found[start : start + words]) for start in range(0, len(found) - words + 1, words)]


def word_log_odds(training: Iterable[Review]) -> dict[str, float]:
    """Log odds of each word between good and bad reviews: log[(c+ + 5) / (c- + 5)] + log[(n- + 5) / (n+ + 5)].

    Here c counts the word and n all words of a side.

    Example:
        >>> odds = word_log_odds([Review("fine day", True), Review("gray day", False)])
        >>> round(odds["fine"], 3), odds["day"], round(odds["gray"], 3)
        (0.182, 0.0, -0.182)
    """
    counts = {True: Counter[str](), False: Counter[str]()}
    for review in training:
        counts[review.good].update(review.text.lower().split())
    scale = math.log((counts[False].total() + PSEUDO_COUNT) / (counts[True].total() + PSEUDO_COUNT))
    return {
        word: math.log((counts[True][word] + PSEUDO_COUNT) / (counts[False][word] + PSEUDO_COUNT)) + scale
        for word in counts[True] | counts[False]
    }


def review_pairs(
    reviews: Iterable[Review],
    log_odds: Mapping[str, float],
    frame: str,
    words: int,
    most: int,
    generator: np.random.Generator,
) -> list[ContrastPair]:
    """Pairs the clearest chunks of good and of bad reviews, each followed by a frame that asks for a verdict.

    Most chunks of a review tell its plot: those of the greatest total log odds for their side are taken.
    """
    sides: dict[bool, list[str]] = {True: [], False: []}
    for review in reviews:
        sides[review.good] += chunk_words(review.text, words)
    # The text itself breaks ties, so that the order does not depend on that of a set.
    ranked = {
        side: sorted(
            set(chunks),
            key=lambda chunk: (sum(log_odds.get(word, 0.0) for word in chunk.split()), chunk),
            reverse=side,
        )
        for side, chunks in sides.items()
    }
    count = min(most, *map(len, ranked.values()))
    good, bad = ([ranked[side][index] for index in generator.permutation(count)] for side in (True, False))
    return [ContrastPair(first + frame, second + frame) for first, second in zip(good, bad, strict=True)]


def verdict_prompts(
    reviews: Iterable[Review], frame: str, words: int, good: tuple[str, ...], bad: tuple[str, ...]
) -> list[BehaviorPrompt]:
    """Makes a prompt of the first chunk of each review and the frame; good verdicts count as +1, bad ones as -1."""
    openings = [chunk for review in reviews for chunk in chunk_words(review.text, words)[:1]]
    return [BehaviorPrompt(opening + frame, good, bad) for opening in openings]


def cloze_questions(
    texts: Iterable[str], training: Iterable[str], words: int, options: int, generator: np.random.Generator
) -> list[Question]:
    """Asks for the last word of each chunk that may be asked for, among distractors about as frequent in training."""
    counts = Counter(word for text in training for word in text.lower().split() if WORD.fullmatch(word))
    ranked = [
        word for word, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])) if count >= MIN_COUNT
    ]
    rank = {word: place for place, word in enumerate(ranked)}
    common = max(min(COMMON, len(ranked) // 5), 1)
    if len(ranked) < common + options:
        raise InputError(f"the training text has {len(ranked)} frequent words: too few for questions, give more text")
    questions = []
    for chunk in (chunk for text in texts for chunk in chunk_words(text, words)):
        before = chunk.split()
        # Words that may not be asked for (unknown, rare or too common) are dropped from the end, down to half a chunk.
        while len(before) > words // 2 and rank.get(before[-1], 0) < common:
            before.pop()
        right = before.pop()
        if rank.get(right, 0) < common:
            continue
        # A window of NEIGHBORS ranks around the right word, shifted inside the list at its ends.
        low = max(0, min(rank[right] - NEIGHBORS // 2, len(ranked) - NEIGHBORS - 1))
        near = [word for word in ranked[low : low + NEIGHBORS + 1] if word != right]
        answers = [right, *(near[index] for index in generator.choice(len(near), size=options - 1, replace=False))]
        order = generator.permutation(options)
        answer = int(np.flatnonzero(order == 0)[0])
        questions.append(Question(" ".join(before), tuple(f" {answers[index]}" for index in order), answer))
    return [questions[index] for index in generator.permutation(len(questions))]
