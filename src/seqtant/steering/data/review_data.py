"""From texts with an opinion to what a steering experiment needs: pairs, prompts, and questions of plain English."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from seqtant.data.json_lines import read_lines, text_of
from seqtant.errors import InputError
from seqtant.steering.data.items import BehaviorPrompt, Passage, Question
from seqtant.steering.data.pairs import ContrastPair

T = TypeVar("T")

LABELS = {"pos": True, "positive": True, "neg": False, "negative": False}
"""How files name the two opinions."""
IMAGINED = 5
"""Occurrences that every word is given on both sides, so that rare ones lean little."""
WORD = re.compile(r"[a-z]{4,}")
"""What a cloze may ask for: no punctuation, no short function words."""
SEEN = 10
"""How often a word must have been seen in training to be asked for."""
NEIGHBORS = 40
"""Distractors are drawn from so many words that are about as frequent as the right one."""
COMMON = 100
"""The commonest words have no equals among which they could stand: they are not asked for (at most every fifth)."""


@dataclass(frozen=True)
class Opinion:
    """A text, and whether it speaks well of its subject."""

    text: str
    good: bool


def read_opinions(path: str) -> list[Opinion]:
    """Reads JSON lines with ``text`` and ``label`` (pos or neg).

    Raises:
        InputError: The file or a line cannot be used, or all labels are the same.
    """
    found = []
    for place, record in read_lines(path):
        label = text_of(record, "label", place)
        if label not in LABELS:
            raise InputError(f"{place}: 'label' is {label!r}: it must be pos or neg")
        found.append(Opinion(text_of(record, "text", place), LABELS[label]))
    if len({opinion.good for opinion in found}) < 2:
        raise InputError(f"all texts of '{path}' have the same label: a direction needs both, pos and neg")
    return found


def split(documents: Sequence[T], every: int, fold: int = 0) -> tuple[list[T], list[T]]:
    """Documents to learn from, and one of every so many, which is kept away from the model.

    Args:
        documents: All documents.
        every: How many come to each one that is kept away.
        fold: Which of so many is kept away, from 0.

    Example:
        >>> split([1, 2, 3, 4, 5], 2)
        ([2, 4], [1, 3, 5])
        >>> split([1, 2, 3, 4, 5], 2, fold=1)
        ([1, 3, 5], [2, 4])
    """
    kept = [document for index, document in enumerate(documents) if index % every == fold]
    return [document for index, document in enumerate(documents) if index % every != fold], kept


def pieces(text: str, words: int) -> list[str]:
    """A text cut into consecutive pieces of so many words; a shorter rest is dropped.

    Example:
        >>> pieces("one two three four five", 2)
        ['one two', 'three four']
    """
    found = text.lower().split()
    return [" ".join(found[start : start + words]) for start in range(0, len(found) - words + 1, words)]


def word_leanings(learned: Iterable[Opinion]) -> dict[str, float]:
    """How much more often a word stands in good than in bad opinions: log odds with five imagined of each.

    Example:
        >>> leanings = word_leanings([Opinion("fine day", True), Opinion("gray day", False)])
        >>> round(leanings["fine"], 3), leanings["day"], round(leanings["gray"], 3)
        (0.182, 0.0, -0.182)
    """
    counts = {True: Counter[str](), False: Counter[str]()}
    for opinion in learned:
        counts[opinion.good].update(opinion.text.lower().split())
    scale = math.log((counts[False].total() + IMAGINED) / (counts[True].total() + IMAGINED))
    return {
        word: math.log((counts[True][word] + IMAGINED) / (counts[False][word] + IMAGINED)) + scale
        for word in counts[True] | counts[False]
    }


def opinion_pairs(
    opinions: Iterable[Opinion],
    leanings: Mapping[str, float],
    frame: str,
    words: int,
    most: int,
    generator: np.random.Generator,
) -> list[ContrastPair]:
    """The clearest pieces of good and of bad opinions, each followed by a frame that asks for a verdict.

    Most pieces of a review tell its plot: those whose words lean furthest to their side are taken.

    Args:
        opinions: Opinions that the model did not learn from.
        leanings: Of words, from the opinions that it did learn from.
        frame: What asks for a verdict.
        words: Words of a piece.
        most: Most pairs.
        generator: Their order.
    """
    sides: dict[bool, list[str]] = {True: [], False: []}
    for opinion in opinions:
        sides[opinion.good] += pieces(opinion.text, words)

    def leaning(piece: str) -> float:
        return sum(leanings.get(word, 0.0) for word in piece.split())

    ranked = {
        side: sorted(set(own), key=lambda piece: (leaning(piece), piece), reverse=side) for side, own in sides.items()
    }
    count = min(most, *map(len, ranked.values()))
    good, bad = ([ranked[side][index] for index in generator.permutation(count)] for side in (True, False))
    return [ContrastPair(first + frame, second + frame) for first, second in zip(good, bad, strict=True)]


def verdict_prompts(
    opinions: Iterable[Opinion], frame: str, words: int, good: tuple[str, ...], bad: tuple[str, ...]
) -> list[BehaviorPrompt]:
    """The opening of each opinion followed by the frame; a good verdict counts as +1, a bad one as -1."""
    openings = [piece for opinion in opinions for piece in pieces(opinion.text, words)[:1]]
    return [BehaviorPrompt(opening + frame, good, bad) for opening in openings]


def passages(texts: Iterable[str], words: int) -> list[Passage]:
    """Texts that should stay likely."""
    return [Passage(piece) for text in texts for piece in pieces(text, words)]


def cloze_questions(
    texts: Iterable[str], learned: Iterable[str], words: int, options: int, generator: np.random.Generator
) -> list[Question]:
    """Which word comes next? The right one stands among others that are about as frequent in what was learned from.

    Args:
        texts: Held-out texts; each piece of them asks for its last word that may be asked for.
        learned: The training texts: their words, by frequency, are the distractors.
        words: Words of a piece.
        options: Number of answers.
        generator: Order of the answers, and which distractors stand there.

    Raises:
        InputError: The training texts have too few frequent words.
    """
    counts = Counter(word for text in learned for word in text.lower().split() if WORD.fullmatch(word))
    ranked = [word for word, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])) if count >= SEEN]
    place = {word: rank for rank, word in enumerate(ranked)}
    common = max(min(COMMON, len(ranked) // 5), 1)
    if len(ranked) < common + options:
        raise InputError(f"the training text has {len(ranked)} frequent words: too few for questions, give more text")
    found = []
    for piece in (piece for text in texts for piece in pieces(text, words)):
        before = piece.split()
        while len(before) > words // 2 and place.get(before[-1], 0) < common:
            before.pop()
        if place.get(right := before.pop(), 0) >= common:
            found.append(_question(" ".join(before), right, ranked, place[right], options, generator))
    return [found[index] for index in generator.permutation(len(found))]


def _question(
    prompt: str, right: str, ranked: list[str], rank: int, options: int, generator: np.random.Generator
) -> Question:
    low = max(0, min(rank - NEIGHBORS // 2, len(ranked) - NEIGHBORS - 1))
    near = [word for word in ranked[low : low + NEIGHBORS + 1] if word != right]
    answers = [right, *(near[index] for index in generator.choice(len(near), size=options - 1, replace=False))]
    order = generator.permutation(options)
    return Question(prompt, tuple(f" {answers[index]}" for index in order), int(np.flatnonzero(order == 0)[0]))
