"""Words on the time axis, and the CTM files that carry them between tools."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqtant.errors import InputError


@dataclass(frozen=True)
class TimedWord:
    """One word.

    Args:
        word: As written.
        start: Seconds from the beginning of the recording. Of a recognizer's output: when the word was emitted.
        end: Seconds.
    """

    word: str
    start: float
    end: float


def read_ctm(path: Path) -> dict[str, list[TimedWord]]:
    """Reads a CTM file: ``recording channel start duration word [confidence]``, one word a line.

    Comments start with ``;;``. Words of one recording and channel are sorted by their start.

    Returns:
        Words by recording; a channel other than 1 or A is part of the name, e.g. ``call/2``.

    Raises:
        InputError: There is no such file, or a line is not of that form; the message gives its number.
    """
    if not path.is_file():
        raise InputError(f"no CTM file '{path}': give an existing file")
    words: dict[str, list[TimedWord]] = {}
    for number, line in enumerate(_lines(path), start=1):
        text = line.split(";;")[0].split()
        if text:
            name, word = _parse(text, f"'{path}', line {number}")
            words.setdefault(name, []).append(word)
    if not words:
        raise InputError(f"'{path}' holds no word: each line is 'recording channel start duration word'")
    return {name: sorted(found, key=lambda word: word.start) for name, found in words.items()}


def write_ctm(path: Path, words: Mapping[str, Sequence[TimedWord]]) -> None:
    """Writes a CTM file, whole or not at all.

    Raises:
        InputError: A recording's name or a word holds a space, which the format cannot carry.
    """
    from seqtant.runs.files import write_text

    lines: list[str] = []
    for name, found in words.items():
        for word in found:
            if not name or not word.word or any(len(text.split()) != 1 for text in (name, word.word)):
                raise InputError(f"'{name}' / '{word.word}': CTM cannot hold empty names or spaces inside them")
            lines.append(f"{name} 1 {word.start:.3f} {max(word.end - word.start, 0):.3f} {word.word}\n")
    write_text(path, "".join(lines))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not UTF-8 text: convert it first") from error


def _parse(fields: list[str], place: str) -> tuple[str, TimedWord]:
    if len(fields) not in {5, 6}:
        raise InputError(f"{place}: {len(fields)} fields; write 'recording channel start duration word [confidence]'")
    name, channel, start, duration, word = fields[:5]
    try:
        begin, length = float(start), float(duration)
    except ValueError:
        raise InputError(f"{place}: start '{start}' and duration '{duration}' must be seconds") from None
    if not (math.isfinite(begin) and math.isfinite(length)) or length < 0:
        raise InputError(f"{place}: start {start} and duration {duration} must be finite, the duration 0 or more")
    return (name if channel in {"1", "A"} else f"{name}/{channel}"), TimedWord(word, begin, begin + length)
