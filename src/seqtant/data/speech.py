"""Speech with its words: utterances from manifests and folders, timed words from CTM files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqtant.data.audio import Recording, read_audio
from seqtant.errors import InputError
from seqtant.sources import read_lines, read_text_lines


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


@dataclass(frozen=True)
class Utterance:
    """A recording and what is said in it.

    Args:
        id: Unique name.
        recording: The sound.
        text: The words.
        words: The same words on the time axis; empty where the times are not known.
        speaker: Who speaks; empty where that is not known.
    """

    id: str
    recording: Recording
    text: tuple[str, ...]
    words: tuple[TimedWord, ...] = ()
    speaker: str = ""


def read_manifest(path: Path) -> list[Utterance]:
    """Reads a JSONL manifest: one object a line with ``audio`` and ``text``.

    ``audio`` is a path, from the manifest's folder if it is relative. Optional: ``id`` (default: the audio's stem),
    ``speaker``, and ``words``, a list of ``[word, start, end]`` in seconds.
    """
    found: dict[str, Utterance] = {}
    for place, entry in read_lines(path, give="a JSONL manifest with audio and text"):
        if not isinstance(entry.get("audio"), str) or not isinstance(entry.get("text"), str):
            raise InputError(f"{place}: needs the strings 'audio' and 'text'")
        unknown = entry.keys() - {"audio", "text", "id", "speaker", "words"}
        if unknown:
            raise InputError(f"{place}: unknown key '{sorted(unknown)[0]}': known are audio, text, id, speaker, words")
        try:
            rows = entry.get("words", [])
            words = tuple(TimedWord(str(word), float(start), float(end)) for word, start, end in rows)
        except (TypeError, ValueError) as error:
            raise InputError(f"{place}: 'words' must be a list of [word, start, end] with seconds") from error
        if any(not 0 <= word.start <= word.end for word in words):
            raise InputError(f"{place}: 'words' must have 0 <= start <= end")
        text = tuple(entry["text"].split())
        if words and tuple(word.word for word in words) != text:
            raise InputError(f"{place}: 'words' and 'text' differ: both must hold the same words in the same order")
        audio = path.parent / entry["audio"]
        name = str(entry.get("id", audio.stem))
        if name in found:
            raise InputError(f"{place}: id '{name}' comes twice: ids must differ")
        found[name] = Utterance(name, read_audio(audio), text, words, str(entry.get("speaker", "")))
    return list(found.values())


def read_folder(path: Path) -> list[Utterance]:
    """Reads a folder of ``name.wav`` beside ``name.txt``."""
    if not path.is_dir():
        raise InputError(f"no folder '{path}': give a folder of WAV files with a text file beside each")
    sounds = sorted(path.glob("*.wav"))
    if not sounds:
        raise InputError(f"'{path}' holds no WAV file")
    silent = [sound.name for sound in sounds if not sound.with_suffix(".txt").is_file()]
    if silent:
        raise InputError(
            f"'{path}': no text beside {silent[0]} ({len(silent)} missing): write {Path(silent[0]).stem}.txt"
        )
    words = [tuple(sound.with_suffix(".txt").read_text(encoding="utf-8-sig").split()) for sound in sounds]
    return [Utterance(sound.stem, read_audio(sound), said) for sound, said in zip(sounds, words, strict=True)]


def read_ctm(path: Path) -> dict[str, list[TimedWord]]:
    """Reads a CTM file: ``recording channel start duration word [confidence]``, one word a line.

    Comments start with ``;;``. Words of one recording and channel are sorted by their start.

    Returns:
        Words by recording; a channel other than 1 or A is part of the name, e.g. ``call/2``.
    """
    lines = read_text_lines(path, "an existing CTM file")
    words: dict[str, list[TimedWord]] = {}
    for number, line in enumerate(lines, start=1):
        place, fields = f"'{path}', line {number}", line.split(";;")[0].split()
        if not fields:
            continue
        if len(fields) not in {5, 6}:
            raise InputError(
                f"{place}: {len(fields)} fields; write 'recording channel start duration word [confidence]'"
            )
        name, channel, start, duration, word = fields[:5]
        try:
            begin, length = float(start), float(duration)
        except ValueError:
            raise InputError(f"{place}: start '{start}' and duration '{duration}' must be seconds") from None
        if not (math.isfinite(begin) and math.isfinite(length)) or length < 0:
            raise InputError(f"{place}: start {start} and duration {duration} must be finite, the duration 0 or more")
        name = name if channel in {"1", "A"} else f"{name}/{channel}"
        words.setdefault(name, []).append(TimedWord(word, begin, begin + length))
    if not words:
        raise InputError(f"'{path}' holds no word: each line is 'recording channel start duration word'")
    return {name: sorted(found, key=lambda word: word.start) for name, found in words.items()}


def write_ctm(path: Path, words: Mapping[str, Sequence[TimedWord]]) -> None:
    """Writes a CTM file, whole or not at all."""
    from seqtant.runs.files import write_text

    lines: list[str] = []
    for name, found in words.items():
        for word in found:
            if not name or not word.word or any(len(text.split()) != 1 for text in (name, word.word)):
                raise InputError(f"'{name}' / '{word.word}': CTM cannot hold empty names or spaces inside them")
            lines.append(f"{name} 1 {word.start:.3f} {max(word.end - word.start, 0):.3f} {word.word}\n")
    write_text(path, "".join(lines))
