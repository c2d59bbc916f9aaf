"""Cutting a text into segments that together are the text again, character by character."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import cast

from seqtant.errors import InputError
from seqtant.registry import Registry, import_attribute

Splitter = Callable[[str], Sequence[int]]
"""Turns a text into the ends of its segments, rising; the last is the length of the text."""

MOST_CHARACTERS = 2000
"""A segment without any boundary is cut here, at a blank where there is one."""

_CLOSERS = "\"'”’»）)\\]】」』"
_ENDS = re.compile(
    rf"(?:[.!?…]+[{_CLOSERS}]*(?:\s*['\"]{{2}})?(?=\s)|[。！？｡؟۔।॥]+[{_CLOSERS}]*)\s*|\s*\n\s*", re.UNICODE
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Gen|Col|Lt|Sgt|Capt|Rev|Hon|Sen|Rep|Gov|Pres|vs|etc|cf|al|approx|"
    r"No|Vol|Fig|Inc|Ltd|Co|Corp|Mt|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec|[A-Z]|[a-z]\.[a-z])\.$"
)


def sentence_ends(text: str) -> list[int]:
    """Ends of the sentences of a text, by punctuation and line breaks of Latin, Arabic, Indic and East Asian scripts.

    White space after a sentence belongs to it. Known abbreviations and initials end none.

    Args:
        text: Any text.

    Returns:
        Rising ends; the last is the length of the text.

    Example:
        >>> text = "Dr. Who came. 他走了。Gone!"
        >>> starts = [0, *sentence_ends(text)]
        >>> [text[a:b] for a, b in zip(starts, starts[1:])]
        ['Dr. Who came. ', '他走了。', 'Gone!']
    """
    ends: list[int] = []
    start = 0
    for match in _ENDS.finditer(text):
        before = text[max(start, match.start() - 12) : match.start() + 1]
        if match.end() == start or (match[0].startswith(".") and _ABBREVIATION.search(before) and "\n" not in match[0]):
            continue
        ends += _capped(text, start, match.end())
        start = match.end()
    return [*ends, *_capped(text, start, len(text))]


def line_ends(text: str) -> list[int]:
    r"""Ends of the lines of a text; their breaks belong to them.

    Example:
        >>> line_ends("one\ntwo")
        [4, 7]
    """
    ends: list[int] = []
    start = 0
    for line in text.splitlines(keepends=True):
        ends += _capped(text, start, start + len(line))
        start += len(line)
    return ends


def _capped(text: str, start: int, end: int) -> list[int]:
    """The end of one segment, or of its parts where it is too long."""
    ends: list[int] = []
    while end - start > MOST_CHARACTERS:
        blank = text.rfind(" ", start + 1, start + MOST_CHARACTERS)
        start = start + MOST_CHARACTERS if blank < 0 else blank + 1
        ends.append(start)
    return [*ends, end] if end > start else ends


SPLITTERS: Registry[Splitter] = Registry(
    "splitter", group="seqtant.splitters", entries={"sentences": sentence_ends, "lines": line_ends}
)
"""Splitters by name; packages add theirs under the entry point ``seqtant.splitters``."""


def find_splitter(name: str) -> Splitter:
    """A registered splitter, or a function named ``module:function``.

    Raises:
        InputError: There is none of that name.
    """
    return cast(Splitter, named_function(name, "splitter")) if ":" in name else SPLITTERS[name]


def named_function(name: str, what: str) -> Callable[..., object]:
    """Imports ``module:function``.

    Raises:
        InputError: The module or the function is not there.
    """
    try:
        found = import_attribute(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"the {what} '{name}' cannot be imported: {error}") from error
    if not callable(found):
        raise InputError(f"the {what} '{name}' is no function")
    return found


def split(text: str, splitter: Splitter, place: str) -> list[int]:
    """Ends of the segments of a text, checked.

    Raises:
        InputError: The splitter failed, lost characters or gave ends that do not rise.
    """
    try:
        ends = list(splitter(text))
    except Exception as error:  # a user's function may raise anything
        raise InputError(f"{place}: the splitter failed: {type(error).__name__}: {error}") from error
    if ends != sorted(set(ends)) or (ends[-1] if ends else 0) != len(text) or (ends and ends[0] <= 0):
        raise InputError(f"{place}: the splitter's ends do not rise to the text's {len(text)} characters")
    return ends


def text_hash(text: str) -> int:
    r"""64 bits that are equal for texts that differ in case, width of characters or white space only.

    Example:
        >>> text_hash("A  text") == text_hash("a text\n")
        True
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).lower().split())
    return int.from_bytes(blake2b(plain.encode(), digest_size=8).digest(), "little")


def word_runs(text: str, length: int) -> set[int]:
    """Hashes of all runs of so many words; a shorter text is one run if it has at least half as many words.

    Example:
        >>> len(word_runs("one two three four", 3)), len(word_runs("one", 3))
        (2, 0)
    """
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower())
    if length / 2 <= len(words) < length:
        return {text_hash(" ".join(words))}
    return {text_hash(" ".join(words[at : at + length])) for at in range(len(words) - length + 1)}
