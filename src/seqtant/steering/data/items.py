"""Contrast pairs, behavior prompts, questions and passages of a steering experiment, read from JSON lines."""

from __future__ import annotations

from dataclasses import dataclass

from seqtant.errors import InputError
from seqtant.sources import Rows, describe, read_lines, text_of, texts_of


@dataclass(frozen=True)
class ContrastPair:
    """Two texts that differ in the behavior that a vector shall steer."""

    positive: str
    """Text that shows the behavior."""
    negative: str
    """Text that shows its opposite."""
    prompt: str | None = None
    """What both answer; it goes in front of them, or to the user's turn of a chat."""


@dataclass(frozen=True)
class BehaviorPrompt:
    """A prompt with continuations that show good and bad behavior."""

    prompt: str
    """The text so far."""
    good: tuple[str, ...]
    """Continuations that count as +1."""
    bad: tuple[str, ...]
    """Continuations that count as -1."""


@dataclass(frozen=True)
class Question:
    """A multiple-choice question."""

    prompt: str
    """The text so far."""
    options: tuple[str, ...]
    """All answers that count, the right one included."""
    answer: int
    """Index of the right one."""


@dataclass(frozen=True)
class Passage:
    """A text that should stay likely."""

    text: str
    """The text."""


HelpfulnessItem = Question | Passage


def read_pairs(source: Rows, *, limit: int | None = None) -> list[ContrastPair]:
    """Reads contrast pairs with ``positive``, ``negative`` and optionally ``prompt``, from JSON lines or memory."""
    pairs: list[ContrastPair] = []
    for place, record in read_lines(source, fields=("positive", "negative", "prompt")):
        prompt = text_of(record, "prompt", place) if record.get("prompt") is not None else None
        pairs.append(ContrastPair(text_of(record, "positive", place), text_of(record, "negative", place), prompt))
        if len(pairs) == limit:
            break
    return pairs


def read_behavior(source: Rows, *, limit: int | None = None) -> list[BehaviorPrompt]:
    """Reads behavior prompts with ``prompt``, ``good`` and ``bad``, from JSON lines or from memory."""
    prompts: list[BehaviorPrompt] = []
    for place, record in read_lines(source, fields=("prompt", "good", "bad")):
        prompt = text_of(record, "prompt", place)
        good, bad = texts_of(record, "good", place), texts_of(record, "bad", place)
        if set(good) & set(bad):
            raise InputError(f"{place}: '{min(set(good) & set(bad))}' is both good and bad")
        prompts.append(BehaviorPrompt(prompt, good, bad))
        if len(prompts) == limit:
            break
    _require_two(len(prompts), source)
    return prompts


def read_helpfulness(source: Rows, *, limit: int | None = None) -> list[HelpfulnessItem]:
    """Reads questions (``prompt``, ``options``, ``answer``) or passages (``text``), from JSON lines or from memory.

    Tuples in memory are questions, texts are passages.
    """
    texts = isinstance(source, list | tuple) and all(isinstance(row, str) for row in source)
    items: list[HelpfulnessItem] = []
    for place, record in read_lines(source, fields=("text",) if texts else ("prompt", "options", "answer")):
        if "text" in record:
            items.append(Passage(text_of(record, "text", place)))
        else:
            options = texts_of(record, "options", place, least=2)
            answer = record.get("answer")
            if isinstance(answer, str) and answer in options:
                answer = options.index(answer)
            # bool is an int in Python: "answer": true must not be read as option 1
            if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(options):
                raise InputError(f"{place}: 'answer' is {answer!r}: give one of the options, or its number from 0")
            items.append(Question(text_of(record, "prompt", place), options, answer))
        if type(items[-1]) is not type(items[0]):
            raise InputError(f"{place}: questions and texts are mixed: their losses are of two kinds, give two files")
        if len(items) == limit:
            break
    _require_two(len(items), source)
    return items


def _require_two(count: int, source: Rows) -> None:
    if count < 2:
        raise InputError(f"'{describe(source)}' holds {count} item: an interval needs at least two, better a hundred")
