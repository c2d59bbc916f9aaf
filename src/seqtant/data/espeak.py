"""Synthetic speech with exact word times, spoken by eSpeak NG through the extra ``espeak``: any text, any amount."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from seqtant.data.audio import Recording
from seqtant.data.documents import TextList
from seqtant.data.speech import TimedWord, Utterance
from seqtant.errors import InputError
from seqtant.optional import require

RATE = 16_000
"""Samples per second of what is spoken."""
VOICES = tuple(
    f"en-us+{variant}" for variant in ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7")
)
"""English voices to choose from."""

# Constants of eSpeak NG's speak_lib.h.
_SYNCHRONOUS, _PHONEME_EVENTS, _UTF8, _BY_CHARACTER = 2, 1, 1, 1
_END, _WORD, _PHONEME = 0, 1, 7
_SPEED, _PITCH = 1, 3
# A no-break space keeps the dictionary from speaking pairs such as "of the" as one word without a time in between.
_JOINT = "\u00a0"
_WORDS = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")


@dataclass(frozen=True)
class Voice:
    """How a text is spoken.

    Args:
        name: Voice of eSpeak NG, with an optional variant, e.g. ``en-us+f3``.
        words_per_minute: 80 to 450.
        pitch: 0 to 99.
    """

    name: str = "en-us"
    words_per_minute: int = 170
    pitch: int = 50


@dataclass(frozen=True)
class Event:
    """What eSpeak NG says about the sound it makes.

    Args:
        kind: ``word`` or ``phoneme``.
        place: Character of the text, from 0.
        sample: Position in the sound.
        is_pause: Whether a phoneme is silence.
    """

    kind: str
    place: int
    sample: int
    is_pause: bool = False


def words_of(text: str) -> tuple[str, ...]:
    """Words of a text in small letters, without figures and punctuation.

    Example:
        >>> words_of("The 3 dogs' owner isn't here.")
        ('the', 'dogs', 'owner', "isn't", 'here')
    """
    return tuple(word.lower().replace("\u2019", "'") for word in _WORDS.findall(text))


def speak(words: Sequence[str], voice: Voice | None = None, *, id: str = "spoken") -> Utterance:
    """Speaks words; their times are those of the synthesis, to the sample.

    Args:
        words: What to say, see :func:`words_of`.
        voice: How to say it.
        id: Name of the utterance.

    Raises:
        InputError: There is no word or no such voice, or eSpeak NG gives a word no time of its own.
        MissingExtraError: The extra ``espeak`` is not installed.
    """
    if not words:
        raise InputError("nothing to speak: give at least one word")
    voice = voice or Voice()
    samples, events, rate = _engine().speak(_JOINT.join(words), voice)
    timed = word_times(words, events, len(samples), rate)
    return Utterance(id, Recording(samples, rate).at(RATE), tuple(words), timed, voice.name)


def word_times(words: Sequence[str], events: Sequence[Event], samples: int, rate: int) -> tuple[TimedWord, ...]:
    """Times of words joined by one character each: from a word's event to the next one, or to a pause before it.

    Example:
        >>> events = [Event("word", 0, 0), Event("word", 3, 400), Event("phoneme", 3, 700, is_pause=True)]
        >>> [(word.word, word.start, word.end) for word in word_times(["it", "is"], events, 1000, 1000)]
        [('it', 0.0, 0.4), ('is', 0.4, 0.7)]
    """
    places = np.cumsum([0] + [len(word) + 1 for word in words[:-1]]).tolist()
    starts = {event.place: event.sample for event in events if event.kind == "word"}
    missing = [word for word, place in zip(words, places, strict=True) if place not in starts]
    if missing:
        raise InputError(
            f"eSpeak NG gives '{missing[0]}' no time of its own in '{' '.join(words)}': leave that text out"
        )
    pauses = [event.sample for event in events if event.is_pause] + [samples]
    found: list[TimedWord] = []
    for number, (word, place) in enumerate(zip(words, places, strict=True)):
        start = starts[place]
        following = starts[places[number + 1]] if number + 1 < len(words) else samples
        end = min([following, *(pause for pause in pauses if pause > start)])
        found.append(TimedWord(word, start / rate, end / rate))
    return tuple(found)


def speak_texts(
    texts: Sequence[Sequence[str]],
    count: int,
    rng: np.random.Generator,
    *,
    noise: tuple[float, float] = (0.001, 0.004),
    tail: tuple[float, float] = (0.1, 0.5),
    prefix: str = "spoken",
) -> list[Utterance]:
    """Utterances in random voices, speeds and pitches, with white noise and silence around them.

    eSpeak NG goes on from where its last call left it: the same calls in a new process give the same sound, in one
    process the same words in the same voices, some samples longer or shorter.

    Args:
        texts: Words of each text; one is drawn for each utterance.
        count: Utterances to make.
        rng: Random generator.
        noise: Standard deviation of the noise; full scale is 1.
        tail: Seconds of silence after the last word.
        prefix: Beginning of the utterances' ids.

    Raises:
        InputError: There is no text, or one cannot be spoken.
        MissingExtraError: The extra ``espeak`` is not installed.
    """
    if not texts:
        raise InputError("no text to speak: give at least one")
    made: list[Utterance] = []
    # Each utterance draws from a generator of its own: a sample more of sound must not change what comes after.
    for number, own in enumerate(rng.spawn(count)):
        words = texts[int(own.integers(len(texts)))]
        voice = Voice(VOICES[int(own.integers(len(VOICES)))], int(own.integers(120, 220)), int(own.integers(20, 80)))
        plain = speak(words, voice, id=f"{prefix}-{number:04d}")
        silence, noise_level = own.uniform(*tail), own.uniform(*noise)
        rate = plain.recording.rate
        lead = round(own.uniform(0.1, 0.4) * rate)
        sound = np.pad(plain.recording.samples, (lead, round(silence * rate)))
        sound = sound + noise_level * own.standard_normal(len(sound), dtype=np.float32)
        shift = lead / rate
        timed = tuple(TimedWord(word.word, word.start + shift, word.end + shift) for word in plain.words)
        recording = Recording(sound.astype(np.float32), rate)
        made.append(Utterance(plain.id, recording, plain.text, timed, plain.speaker))
    return made


class _Name(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("text", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Engine:
    """The shared library, opened once: its state is one per process."""

    def __init__(self, library: Path, data: Path) -> None:
        self.library = ctypes.CDLL(str(library))
        self.rate: int = self.library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), _PHONEME_EVENTS)
        if self.rate <= 0:
            raise InputError(f"eSpeak NG does not start with its data in '{data}': install the extra again")
        # The library keeps only a pointer: the callback must live as long as it does.
        self.callback = _Callback(self._receive)
        self.library.espeak_SetSynthCallback(self.callback)

    def speak(self, text: str, voice: Voice) -> tuple[Any, list[Event], int]:
        if self.library.espeak_SetVoiceByName(voice.name.encode()):
            raise InputError(f"eSpeak NG has no voice '{voice.name}': give one such as {VOICES[0]}")
        self.library.espeak_SetParameter(_SPEED, voice.words_per_minute, 0)
        self.library.espeak_SetParameter(_PITCH, voice.pitch, 0)
        self.pieces: list[Any] = []
        self.events: list[Event] = []
        data = text.encode()
        size = ctypes.c_size_t(len(data) + 1)
        if self.library.espeak_Synth(data, size, 0, _BY_CHARACTER, 0, _UTF8, None, None) or not self.pieces:
            raise InputError(f"eSpeak NG does not speak '{text}': leave that text out")
        return np.concatenate(self.pieces).astype(np.float32) / 32768, self.events, self.rate

    def _receive(self, wave: Any, count: int, events: Any) -> int:
        if wave and count:
            self.pieces.append(np.ctypeslib.as_array(wave, (count,)).copy())
        number = 0
        while events[number].type != _END:
            event = events[number]
            if event.type == _WORD:
                self.events.append(Event("word", event.text_position - 1, event.sample))
            elif event.type == _PHONEME:
                pause = bytes(event.id.text).startswith(b"_")
                self.events.append(Event("phoneme", event.text_position - 1, event.sample, pause))
            number += 1
        return 0


@cache
def _engine() -> _Engine:
    loader = require("espeakng_loader", extra="espeak")
    return _Engine(Path(loader.get_library_path()), Path(loader.get_data_path()))


PEOPLE = ("Anna", "Boris", "Clara", "David", "Elena", "Frida", "Goran", "Hanna", "Ivo", "Jana", "Karim", "Lena")
PLACES = ("harbour", "market", "library", "garden", "station", "bakery", "museum", "bridge", "school", "mill")
NOUNS = ("sailor", "baker", "teacher", "painter", "farmer", "girl", "doctor", "poet", "guard", "captain")
THINGS = ("map", "lamp", "letter", "basket", "clock", "rope", "book", "stone", "apple", "key", "boat", "mirror")
QUALITIES = ("old", "young", "quiet", "tall", "clever", "tired", "happy", "careful", "small", "bright")
VERBS = ("carries", "finds", "keeps", "paints", "wants", "drops", "hides", "sells", "brings", "watches")
FEELINGS = ("sees", "knows", "follows", "helps", "likes", "calls", "trusts", "avoids")
TIMES = ("in the morning", "at noon", "in the evening", "every day", "after the rain", "before winter")


def phrase_documents(documents: int = 400, *, sentences: int = 24, seed: int = 0) -> TextList:
    """Samples documents of simple English sentences from a small phrase grammar.

    Args:
        documents: How many.
        sentences: Sentences in each; a sentence has about 55 characters.
        seed: Random seed.

    Example:
        >>> next(iter(phrase_documents(1, sentences=2)))[-1]
        '.'
    """
    generator = np.random.default_rng(seed)
    texts: list[str] = []
    for _ in range(documents):
        people = [str(name) for name in generator.choice(PEOPLE, size=2, replace=False)]
        place = str(generator.choice(PLACES))
        made: list[str] = []
        for _ in range(sentences):
            subject, plural = _subject(generator, people, depth=0)
            verb = _inflect(_pick(generator, VERBS), plural)
            words = f"{subject} {verb} the {_pick(generator, QUALITIES)} {_pick(generator, THINGS)}"
            if generator.random() < 0.5:
                words += f" at the {place}"
            if generator.random() < 0.3:
                words += f" {_pick(generator, TIMES)}"
            made.append(f"{words[0].upper()}{words[1:]}.")
        texts.append(" ".join(made))
    return TextList(texts)


def _subject(generator: np.random.Generator, people: list[str], depth: int) -> tuple[str, bool]:
    """A noun phrase and whether it is plural; a clause inside brings a subject of its own."""
    if generator.random() < 0.4:
        return people[int(generator.integers(2))], False
    plural = bool(generator.random() < 0.5)
    noun = f"the {_pick(generator, QUALITIES)} {_pick(generator, NOUNS)}" + "s" * plural
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
