"""What a verb takes as its recognizer, speech, sound or words: an object in memory, or a path to it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BeforeValidator, PlainSerializer

from seqtant.errors import InputError, suggest
from seqtant.sources import InMemory, describe, is_path

SPLITS = ("train", "development", "test")
ROW = ("audio", "text", "id", "speaker", "words")
"""Keys of an utterance that is given as a mapping."""


def utterance_of(value: Any, name: str = "sound") -> Any:
    """Makes an utterance of a ``Recording``, ``(samples, rate)``, or a row with ``audio`` and ``text``.

    Integer samples are scaled to -1..1; of ``words`` each is a ``TimedWord`` or ``(word, start, end)`` in seconds.

    Raises:
        InputError: It is none of these, or the sound is empty, not finite, or of more than one channel.

    Example:
        >>> said = utterance_of({"audio": ([0.0, 0.5], 8000), "text": "yes", "words": [("yes", 0.0, 0.0001)]}, "a")
        >>> said.id, said.text, said.recording.rate, said.words[0].word
        ('a', ('yes',), 8000, 'yes')
    """
    # Imported here: the settings of a command must not load NumPy.
    from seqtant.data.audio import Recording
    from seqtant.data.speech import Utterance

    if isinstance(value, Utterance):
        return value
    if isinstance(value, Mapping) and "audio" in value:
        for key in value:
            if key not in ROW:
                raise InputError(f"{name}: unknown key '{key}'{suggest(str(key), ROW)}: known are {', '.join(ROW)}")
        if "text" not in value:
            raise InputError(f"{name}: an utterance needs 'audio' and 'text'")
        text = value["text"].split() if isinstance(value["text"], str) else [str(word) for word in value["text"]]
        words = tuple(timed_words(value.get("words") or (), name))
        if words and [word.word for word in words] != text:
            raise InputError(f"{name}: 'words' and 'text' differ: both must hold the same words in the same order")
        recording = utterance_of(value["audio"], name).recording
        return Utterance(str(value.get("id") or name), recording, tuple(text), words, str(value.get("speaker") or ""))
    if not isinstance(value, Recording):
        value = _recording(value, name)
    return Utterance(name, value, ())


def _recording(value: Any, name: str) -> Any:
    import numpy as np

    from seqtant.data.audio import Recording, read_audio

    if is_path(value):
        return read_audio(Path(value))
    if isinstance(value, Mapping) and {"array", "sampling_rate"} <= value.keys():
        value = (value["array"], value["sampling_rate"])
    try:
        samples, rate = np.asarray(value[0]), int(value[1])
    except (TypeError, ValueError, IndexError, KeyError):
        raise InputError(
            f"{name}: {value!r:.60} is no sound: give a file, (samples, rate), a Recording or an Utterance"
        ) from None
    if samples.ndim != 1 or samples.dtype.kind not in "if" or not len(samples) or rate < 1:
        raise InputError(
            f"{name}: {samples.dtype} samples of shape {samples.shape} at {rate} a second are no sound: give one "
            "channel of numbers and the samples per second"
        )
    scale = -np.iinfo(samples.dtype).min if samples.dtype.kind == "i" else 1
    samples = (samples / scale).astype(np.float32)
    if not np.isfinite(samples).all():
        raise InputError(f"{name}: the samples are not finite: record or convert them again")
    return Recording(samples, rate)


def timed_words(rows: Iterable[Any], name: str) -> list[Any]:
    """Makes timed words of ``TimedWord`` objects or ``(word, start, end)``, times in seconds, sorted by their start."""
    from seqtant.data.speech import TimedWord

    try:
        words = [row if isinstance(row, TimedWord) else TimedWord(str(row[0]), *map(float, row[1:])) for row in rows]
    except (TypeError, ValueError, IndexError, KeyError):
        raise InputError(f"{name}: words must be a list of (word, start, end) with seconds") from None
    for word in words:
        if not 0 <= word.start <= word.end < math.inf:
            raise InputError(
                f"{name}: '{word.word}' runs from {word.start} to {word.end}: it must be 0 <= start <= end"
            )
    return sorted(words, key=lambda word: word.start)


def _recognizer(value: Any) -> Any:
    if is_path(value):
        return str(value)
    if not all(hasattr(value, part) for part in ("encoder", "labels", "log_mel")):
        raise InputError(
            f"{value!r:.60} is no recognizer: give a folder that 'seqtant ctc train' wrote, or a ctc.Recognizer"
        )
    return value


def _speech(value: Any) -> Any:
    from seqtant.ctc.recognition.sources import Speech

    if is_path(value) or isinstance(value, Speech):
        return str(value) if is_path(value) else value
    if isinstance(value, bytes) or not hasattr(value, "__iter__"):
        raise InputError(
            f"{value!r:.60} is no speech: give a path, utterances, or a mapping of train, development, test"
        )
    # Utterances alone are there to be tested on; whoever trains says what is for what.
    splits: Any = value if isinstance(value, Mapping) else {"test": value}
    for key in splits:
        if key not in SPLITS:
            raise InputError(f"data: unknown part '{key}'{suggest(str(key), SPLITS)}: known are {', '.join(SPLITS)}")
    parts = {
        name: [utterance_of(row, f"{name}-{place}") for place, row in enumerate(rows)] for name, rows in splits.items()
    }
    return Speech(*(parts.get(name, []) for name in SPLITS))


def _words(value: Any) -> Any:
    if is_path(value):
        return str(value)
    if not isinstance(value, Mapping):
        raise InputError(f"{value!r:.60} holds no words: give a CTM file, or a mapping of recordings to timed words")
    return {str(name): timed_words(rows, f"recording '{name}'") for name, rows in value.items()}


def _text(value: Any) -> Any:
    if isinstance(value, bytes | Mapping) or not hasattr(value, "__iter__"):
        raise InputError(f"text is {value!r:.60}: give a text, or a list of words")
    return value if isinstance(value, str) else " ".join(map(str, value))


def _digest(*parts: Any) -> str:
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(part if isinstance(part, bytes) else repr(part).encode())
    return sha256.hexdigest()[:8]


def describe_source(value: Any) -> Any:
    """Writes a source as text for records and titles: paths as they are, objects by what they hold and a hash of it."""
    if value is None or is_path(value):
        return describe(value)
    if isinstance(value, Mapping):
        return f"<{len(value)} recordings in memory, sha256 {_digest(sorted(value.items()))}>"
    if hasattr(value, "recording"):
        return f"<'{value.id}', {value.recording.seconds:.2f} s in memory, sha256 {_digest(*_parts(value))}>"
    if hasattr(value, "fingerprint"):
        return f"<{len(value)} utterances in memory, sha256 {value.fingerprint}>"
    # A recognizer: two that differ in a weight are told apart, and nothing is kept of them.
    weights = [
        part for name, each in value.encoder.state_dict().items() for part in (name, each.cpu().numpy().tobytes())
    ]
    return f"<recognizer of {len(value.labels.names)} labels in memory, sha256 {_digest(value.labels, *weights)}>"


def _parts(utterance: Any) -> tuple[Any, ...]:
    recording = utterance.recording
    return utterance.id, utterance.text, utterance.words, recording.rate, recording.samples.tobytes()


def fingerprint(splits: Iterable[Sequence[Any]]) -> str:
    """Hashes the sounds and texts of several lists of utterances, 8 hexadecimal digits."""
    return _digest(*(part for split in splits for each in (("part",), *map(_parts, split)) for part in each))


if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from seqtant.ctc.recognition.recognizer import Recognizer
    from seqtant.ctc.recognition.sources import Speech
    from seqtant.data.audio import Recording
    from seqtant.data.speech import TimedWord, Utterance

    Row: TypeAlias = Utterance | Mapping[str, Any]
    RecognizerSource: TypeAlias = str | Path | Recognizer
    SpeechSource: TypeAlias = str | Path | Speech | Sequence[Row] | Mapping[str, Sequence[Row]]
    SoundSource: TypeAlias = str | Path | Utterance | Recording | tuple[ArrayLike, int] | Mapping[str, Any]
    WordsSource: TypeAlias = str | Path | Mapping[str, Sequence[TimedWord | tuple[str, float, float]]]
    Text: TypeAlias = str | Sequence[str]
else:
    RecognizerSource = Annotated[Any, InMemory(), BeforeValidator(_recognizer), PlainSerializer(describe_source)]
    """A folder that ``ctc train`` wrote, or a :class:`Recognizer`."""
    SpeechSource = Annotated[Any, InMemory(), BeforeValidator(_speech), PlainSerializer(describe_source)]
    """A path, a :class:`Speech`, ``train``, ``development`` and ``test`` by name, or test utterances alone."""
    Sound = BeforeValidator(lambda value: str(value) if is_path(value) else utterance_of(value))
    SoundSource = Annotated[Any, InMemory(), Sound, PlainSerializer(describe_source)]
    """A sound file, an ``Utterance``, a ``Recording``, or ``(samples, rate)``."""
    WordsSource = Annotated[Any, InMemory(), BeforeValidator(_words), PlainSerializer(describe_source)]
    """A CTM file, or words by recording."""
    Text = Annotated[Any, InMemory(), BeforeValidator(_text)]
    """A text, or its words."""
