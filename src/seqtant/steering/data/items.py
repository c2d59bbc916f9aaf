"""What is asked on both sides of the trade-off: behavior prompts with good and bad replies, and questions or texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from seqtant.data.json_lines import read_lines, text_of, texts_of
from seqtant.errors import InputError


@dataclass(frozen=True)
class BehaviorPrompt:
    """A prompt whose continuations tell whether the model behaves."""

    prompt: str
    """The text so far."""
    good: tuple[str, ...]
    """Continuations that count as +1."""
    bad: tuple[str, ...]
    """Continuations that count as -1."""


@dataclass(frozen=True)
class Question:
    """A prompt with one right answer among some."""

    prompt: str
    """The text so far."""
    options: tuple[str, ...]
    """All answers that count, the right one included."""
    answer: int
    """Which of them is right."""


@dataclass(frozen=True)
class Passage:
    """A text that should stay likely."""

    text: str
    """The text."""


HelpfulnessItem = Question | Passage
T = TypeVar("T")


def read_behavior(path: str, *, limit: int) -> list[BehaviorPrompt]:
    """Reads behavior prompts from JSON lines with ``prompt``, ``good`` and ``bad``.

    Raises:
        InputError: The file or a line cannot be used.
    """
    found = []
    for place, record in read_lines(path):
        item = BehaviorPrompt(
            text_of(record, "prompt", place), texts_of(record, "good", place), texts_of(record, "bad", place)
        )
        if set(item.good) & set(item.bad):
            raise InputError(f"{place}: '{min(set(item.good) & set(item.bad))}' is both good and bad")
        found.append(item)
        if len(found) == limit:
            break
    return _enough(found, path)


def read_helpfulness(path: str, *, limit: int) -> list[HelpfulnessItem]:
    """Reads questions (``prompt``, ``options``, ``answer``) or passages (``text``) from JSON lines.

    Raises:
        InputError: The file or a line cannot be used, or questions and passages are mixed.
    """
    found: list[HelpfulnessItem] = []
    for place, record in read_lines(path):
        found.append(Passage(text_of(record, "text", place)) if "text" in record else _question(record, place))
        if type(found[-1]) is not type(found[0]):
            raise InputError(f"{place}: questions and texts are mixed: their losses are of two kinds, give two files")
        if len(found) == limit:
            break
    return _enough(found, path)


def _question(record: dict[str, Any], place: str) -> Question:
    options = texts_of(record, "options", place, least=2)
    answer = record.get("answer")
    if isinstance(answer, str) and answer in options:
        return Question(text_of(record, "prompt", place), options, options.index(answer))
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(options):
        return Question(text_of(record, "prompt", place), options, answer)
    raise InputError(f"{place}: 'answer' is {answer!r}: give one of the options, or its number from 0")


def _enough(items: Sequence[T], path: str) -> list[T]:
    if len(items) < 2:
        raise InputError(f"'{path}' holds {len(items)} item: an interval needs at least two, better a hundred")
    return list(items)
