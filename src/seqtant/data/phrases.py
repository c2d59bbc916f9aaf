"""Text from a small phrase grammar, so that a training run needs no file: readable, endless, and never the same twice.

Verbs agree with their subject across clauses of any depth, and every document keeps to its own people and place, so
that both the nearby words and the far ones help a reader.
"""

from __future__ import annotations

import numpy as np

from seqtant.data.documents import TextList

PEOPLE = ("Anna", "Boris", "Clara", "David", "Elena", "Frida", "Goran", "Hanna", "Ivo", "Jana", "Karim", "Lena")
PLACES = ("harbour", "market", "library", "garden", "station", "bakery", "museum", "bridge", "school", "mill")
NOUNS = ("sailor", "baker", "teacher", "painter", "farmer", "girl", "doctor", "poet", "guard", "captain")
THINGS = ("map", "lamp", "letter", "basket", "clock", "rope", "book", "stone", "apple", "key", "boat", "mirror")
QUALITIES = ("old", "young", "quiet", "tall", "clever", "tired", "happy", "careful", "small", "bright")
VERBS = ("carries", "finds", "keeps", "paints", "wants", "drops", "hides", "sells", "brings", "watches")
FEELINGS = ("sees", "knows", "follows", "helps", "likes", "calls", "trusts", "avoids")
TIMES = ("in the morning", "at noon", "in the evening", "every day", "after the rain", "before winter")


def phrase_documents(documents: int = 400, *, sentences: int = 24, seed: int = 0) -> TextList:
    """Documents of the phrase grammar.

    Args:
        documents: How many.
        sentences: Sentences in each; a sentence has about 55 characters.
        seed: Seed of every choice.

    Example:
        >>> next(iter(phrase_documents(1, sentences=2)))[-1]
        '.'
    """
    generator = np.random.default_rng(seed)
    return TextList(" ".join(_document(generator, sentences)) for _ in range(documents))


def _document(generator: np.random.Generator, sentences: int) -> list[str]:
    people = [str(name) for name in generator.choice(PEOPLE, size=2, replace=False)]
    place = str(generator.choice(PLACES))
    return [_sentence(generator, people, place) for _ in range(sentences)]


def _sentence(generator: np.random.Generator, people: list[str], place: str) -> str:
    subject, plural = _subject(generator, people, depth=0)
    verb = _inflect(_pick(generator, VERBS), plural)
    words = f"{subject} {verb} the {_pick(generator, QUALITIES)} {_pick(generator, THINGS)}"
    if generator.random() < 0.5:
        words += f" at the {place}"
    if generator.random() < 0.3:
        words += f" {_pick(generator, TIMES)}"
    return f"{words[0].upper()}{words[1:]}."


def _subject(generator: np.random.Generator, people: list[str], depth: int) -> tuple[str, bool]:
    """A noun phrase and whether it is plural; a clause inside brings a subject of its own."""
    if generator.random() < 0.4:
        return people[int(generator.integers(2))], False
    plural = bool(generator.random() < 0.5)
    noun = f"the {_pick(generator, QUALITIES)} {_pick(generator, NOUNS)}".replace("girl", "girl") + "s" * plural
    if generator.random() < 0.4 / (depth + 1):
        inner, inner_plural = _subject(generator, people, depth + 1)
        noun += f" that {inner} {_inflect(_pick(generator, FEELINGS), inner_plural)}"
    return noun, plural


def _inflect(verb: str, plural: bool) -> str:
    if not plural:
        return verb
    if verb.endswith("ies"):
        return verb[:-3] + "y"
    return verb.removesuffix("es") if verb.endswith("ches") else verb.removesuffix("s")


def _pick(generator: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(generator.integers(len(words)))]
