"""Connected digits from single recordings, of voices or of tones, with the time of every word known exactly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from seqtant.data.audio import Recording, read_audio
from seqtant.data.speech import TimedWord, Utterance
from seqtant.errors import InputError, suggest

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_LOW_TONES, _HIGH_TONES = (300.0, 420.0, 590.0, 830.0, 1160.0), (1800.0, 2600.0)
"""Hz: every digit of :func:`tone_digits` is one low tone, then one high tone."""
_NAME = re.compile(r"([0-9])_([A-Za-z]+)_([0-9]+)\.wav")


@dataclass(frozen=True)
class SpokenDigit:
    """One recording of one digit.

    Args:
        digit: 0 to 9.
        speaker: Who says it.
        index: Take; the data set's official test takes are 0 to 4.
        recording: The sound, trimmed to the word.
    """

    digit: int
    speaker: str
    index: int
    recording: Recording


def read_fsdd(path: Path) -> list[SpokenDigit]:
    """Reads a checkout of the Free Spoken Digit Dataset (CC BY-SA 4.0) or its ``recordings`` folder."""
    if not path.is_dir():
        raise InputError(f"no folder '{path}': give a checkout of the Free Spoken Digit Dataset")
    folder = path / "recordings" if (path / "recordings").is_dir() else path
    named = [(match, file) for file in sorted(folder.iterdir()) if (match := _NAME.fullmatch(file.name))]
    if not named:
        raise InputError(f"'{folder}' holds no recording named like '7_jackson_32.wav'")
    digits = [SpokenDigit(int(match[1]), match[2], int(match[3]), read_audio(file)) for match, file in named]
    rates = {digit.recording.rate for digit in digits}
    if len(rates) > 1:
        raise InputError(f"'{folder}' mixes sampling rates {sorted(rates)}: resample the recordings to one")
    return digits


@dataclass(frozen=True)
class DigitSplit:
    """Recordings for training, for decisions during training, and for the final measurement; none in two of them."""

    train: list[SpokenDigit]
    development: list[SpokenDigit]
    test: list[SpokenDigit]


def split_digits(
    digits: Sequence[SpokenDigit], *, test_speaker: str | None = None, first_test_take: int = 0
) -> DigitSplit:
    """Splits recordings: five takes of every speaker for testing, the next five for development, the rest for training.

    By default takes 0-4 are for testing, as the data set's authors split it. With a test speaker, all of that speaker's
    takes are for testing and none of the others'.

    Example:
        >>> sound = Recording(np.zeros(10, np.float32), 8000)
        >>> takes = [SpokenDigit(1, name, index, sound) for name in "ab" for index in range(12)]
        >>> split = split_digits(takes, test_speaker="a")
        >>> len(split.train), len(split.development), len(split.test)
        (7, 5, 12)
    """
    held_back = range(first_test_take, first_test_take + 5)
    if test_speaker is None:
        seen, test = list(digits), [digit for digit in digits if digit.index in held_back]
    else:
        known = sorted({digit.speaker for digit in digits})
        if test_speaker not in known:
            raise InputError(f"no speaker '{test_speaker}'{suggest(test_speaker, known)}: known are {', '.join(known)}")
        seen = [digit for digit in digits if digit.speaker != test_speaker]
        test = [digit for digit in digits if digit.speaker == test_speaker]
        held_back = range(0)
    decisive = range(first_test_take + 5, first_test_take + 10)
    development = [digit for digit in seen if digit.index in decisive]
    train = [digit for digit in seen if digit.index not in held_back and digit.index not in decisive]
    for name, part in {"training": train, "development": development, "test": test}.items():
        if not part:
            raise InputError(f"the split leaves no recording for {name}: more takes or speakers are needed")
    return DigitSplit(train, development, test)


@dataclass(frozen=True)
class DigitStrings:
    """How single digits are put together."""

    count: int = 960
    """Utterances to make."""
    words: tuple[int, int] = (3, 6)
    """Fewest and most digits of an utterance."""
    lead_in: tuple[float, float] = (0.1, 0.4)
    """Seconds of silence before the first digit."""
    gap: tuple[float, float] = (0.03, 0.3)
    """Seconds of silence between digits."""
    tail: tuple[float, float] = (0.1, 0.5)
    """Seconds of silence after the last digit."""
    noise: tuple[float, float] = (0.001, 0.004)
    """Amplitude (standard deviation) of white noise over the whole utterance; full scale is 1."""
    speed: tuple[float, float] = (1.0, 1.0)
    """Speed at which an utterance's recordings are played, pitch and all: variety for training."""
    level: float | None = None
    """Root-mean-square level that every recording is brought to; None leaves each as loud as it is."""


def connect_digits(
    digits: Sequence[SpokenDigit], config: DigitStrings, rng: np.random.Generator, *, prefix: str = "digits"
) -> list[Utterance]:
    """Makes utterances of one speaker each from single recordings.

    Args:
        digits: Recordings to draw from.
        config: How many, how long, how noisy.
        rng: Random generator.
        prefix: Beginning of the utterances' ids.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> takes = [SpokenDigit(7, "a", 0, Recording(np.ones(80, np.float32), 8000))]
        >>> made = connect_digits(takes, DigitStrings(count=2), rng)
        >>> made[0].id, set(made[0].text)
        ('digits-0000', {'seven'})
    """
    if not digits:
        raise InputError("no recordings to make utterances from: give at least one digit")
    names = sorted({digit.speaker for digit in digits})
    by_speaker = {name: [digit for digit in digits if digit.speaker == name] for name in names}
    made: list[Utterance] = []
    for number in range(config.count):
        speaker = names[int(rng.integers(len(names)))]
        length = int(rng.integers(config.words[0], config.words[1] + 1))
        chosen = [by_speaker[speaker][int(i)] for i in rng.integers(len(by_speaker[speaker]), size=length)]
        rate = chosen[0].recording.rate
        speed = rng.uniform(*config.speed)
        pieces = [np.zeros(round(rng.uniform(*config.lead_in) * rate), np.float32)]
        words: list[TimedWord] = []
        position = len(pieces[0])  # samples so far
        for place, digit in enumerate(chosen):
            samples = digit.recording.played(speed).samples
            loudness = float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
            if config.level is not None and loudness > 0:
                samples = samples * np.float32(config.level / loudness)
            words.append(TimedWord(WORDS[digit.digit], position / rate, (position + len(samples)) / rate))
            silence = config.gap if place < len(chosen) - 1 else config.tail
            pieces += [samples, np.zeros(round(rng.uniform(*silence) * rate), np.float32)]
            position += len(samples) + len(pieces[-1])
        sound = np.concatenate(pieces)
        sound = sound + rng.uniform(*config.noise) * rng.standard_normal(len(sound), dtype=np.float32)
        text = tuple(word.word for word in words)
        recording = Recording(sound.astype(np.float32), rate)
        made.append(Utterance(f"{prefix}-{number:04d}", recording, text, tuple(words), speaker))
    return made


def tone_digits(
    rng: np.random.Generator, *, voices: tuple[str, ...] = ("high", "low", "middle"), takes: int = 12, rate: int = 8000
) -> list[SpokenDigit]:
    """Takes of ten synthetic digits: a low tone, then a high one, every pair of tones once.

    They are no speech: they let the instruments run anywhere, and nothing measured on them says anything of speech.

    Args:
        rng: Random generator of length, pitch and loudness.
        voices: Names of the voices; each has a pitch of its own.
        takes: Takes of each digit and voice; those below 5 are for testing, 5 to 9 for development.
        rate: Samples per second.

    Example:
        >>> digits = tone_digits(np.random.default_rng(0), takes=2)
        >>> len(digits), digits[0].digit, digits[0].speaker
        (60, 0, 'high')
    """
    made: list[SpokenDigit] = []
    for voice, pitch in zip(voices, np.linspace(0.96, 1.04, len(voices)), strict=True):
        for digit, take in product(range(10), range(takes)):
            share = np.linspace(0, 1, round(rng.uniform(0.2, 0.4) * rate))  # of the digit's duration
            tone = np.where(share < 0.5, _LOW_TONES[digit % 5], _HIGH_TONES[digit // 5])
            frequency = pitch * rng.normal(1, 0.01) * tone
            phase = 2 * np.pi * np.cumsum(frequency) / rate
            loudness = rng.uniform(0.1, 0.3) * np.sin(np.pi * share) ** 0.5
            samples = (loudness * (np.sin(phase) + 0.3 * np.sin(2 * phase))).astype(np.float32)
            made.append(SpokenDigit(digit, voice, take, Recording(samples, rate)))
    return made
