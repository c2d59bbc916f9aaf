"""Loads speech: recordings, lists, texts or tones become training, development and test corpora."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqtant.ctc.config import Utterances
from seqtant.ctc.inputs import SPLITS, SpeechSource, fingerprint
from seqtant.ctc.recognition.dataset import Corpus, Labels, Units
from seqtant.data.digits import DigitStrings, connect_digits, read_fsdd, split_digits, tone_digits
from seqtant.data.espeak import speak_texts, words_of
from seqtant.data.log_mel import LogMelConfig
from seqtant.data.speech import Utterance, read_folder, read_manifest
from seqtant.errors import InputError
from seqtant.optional import require
from seqtant.sources import is_path

if TYPE_CHECKING:
    from seqtant.ctc.recognition.recognizer import Recognizer

UTTERANCES = Utterances()


@dataclass(frozen=True)
class Speech:
    """Utterances of the three splits; no recording is in two of them."""

    train: list[Utterance]
    development: list[Utterance]
    test: list[Utterance]

    def __len__(self) -> int:
        return len(self.train) + len(self.development) + len(self.test)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all sounds and texts, by which records tell one speech from another."""
        return fingerprint((self.train, self.development, self.test))


@dataclass(frozen=True)
class Corpora:
    """The three splits with features and labels, and what those were made with."""

    train: Corpus
    development: Corpus
    test: Corpus
    labels: Labels
    log_mel: LogMelConfig


def load_speech(
    data: SpeechSource | None = None,
    utterances: Utterances = UTTERANCES,
    *,
    seed: int = 0,
    test_speaker: str | None = None,
    with_development: bool = True,
) -> Speech:
    """Reads or makes the utterances of the three splits; speech in memory is used as it is.

    Test utterances do not depend on the seed: all seeds are measured on the same ones. Where nothing is decided during
    training, the recordings set aside for that are learned from as well (``with_development=False``).

    Raises:
        InputError: The data cannot be used.
    """
    path = Path(data) if is_path(data) else None
    given = data if isinstance(data, Speech) else None
    if path is not None:
        if (path / "train.jsonl").is_file():
            given = Speech(*(read_manifest(path / f"{name}.jsonl") for name in SPLITS))
        elif (path / "train").is_dir():
            given = Speech(*(read_folder(path / name) for name in SPLITS))
        elif path.suffix == ".txt":
            given = _speak_lines(path, utterances, seed)
        elif not path.is_dir():
            raise InputError(
                f"no folder '{path}': give a spoken-digit checkout, a folder with train.jsonl or train/, or a .txt file"
            )
    if given is not None:
        if test_speaker is not None:
            raise InputError("test_speaker is for recordings of digits: lists and texts have a test part of their own")
        return given
    digits = tone_digits(np.random.default_rng(0)) if path is None else read_fsdd(path)
    split = split_digits(digits, test_speaker=test_speaker, first_test_take=utterances.first_test_take)
    # Recordings, utterances made of them, seed: training and development vary with the run, the test part never does.
    plan = (
        (split.train + ([] if with_development else split.development), utterances.train, [seed, 0]),
        (split.development, utterances.development if with_development else 1, [seed, 1]),
        (split.test, utterances.test, [2]),
    )
    parts: list[list[Utterance]] = []
    for name, (recordings, count, entropy) in zip(SPLITS, plan, strict=True):
        strings = DigitStrings(count=count, words=utterances.digits, noise=utterances.noise, level=utterances.level)
        if name == "train":
            strings = replace(strings, speed=utterances.speed)
        else:
            strings = replace(strings, tail=(utterances.tail, utterances.tail))
        parts.append(connect_digits(recordings, strings, np.random.default_rng(entropy), prefix=name))
    return Speech(*parts)


def _speak_lines(path: Path, utterances: Utterances, seed: int) -> Speech:
    """Lets eSpeak NG speak the lines of a text; every tenth line is for development, every tenth for testing."""
    if not path.is_file():
        raise InputError(f"no text '{path}': give a file with one sentence a line")
    texts = [words for line in path.read_text(encoding="utf-8-sig").splitlines() if (words := words_of(line))]
    if len(texts) < 10:
        raise InputError(f"'{path}' has {len(texts)} lines with words: at least 10 are needed for three parts")
    parts = ([text for place, text in enumerate(texts) if place % 10 < 8], texts[8::10], texts[9::10])
    tail = (utterances.tail, utterances.tail)
    train, development, test = (
        speak_texts(
            lines,
            getattr(utterances, name),
            np.random.default_rng([2] if name == "test" else [seed, place]),
            noise=utterances.noise,
            prefix=name,
            **({} if name == "train" else {"tail": tail}),
        )
        for place, (name, lines) in enumerate(zip(SPLITS, parts, strict=True))
    )
    return Speech(train, development, test)


def load_corpora(
    data: SpeechSource | None = None,
    utterances: Utterances = UTTERANCES,
    *,
    units: Units = "word",
    bands: int = 40,
    seed: int = 0,
    test_speaker: str | None = None,
    with_development: bool = True,
    like: Recognizer | None = None,
) -> Corpora:
    """Prepares the corpora of a training run, with labels taken from the training texts.

    Args:
        data: Where the speech is, as for :func:`load_speech`.
        utterances: How single recordings become utterances.
        units: Whether a label is a word or a letter.
        bands: Mel bands of the features.
        seed: Of the training and development utterances.
        test_speaker: Speaker kept out of training and tested on.
        with_development: Whether recordings are set aside for decisions during training.
        like: Recognizer whose labels and features are taken, instead of ``units`` and ``bands``.

    Raises:
        InputError: The data cannot be used.
        MissingExtraError: The extra ``speech`` is not installed.
    """
    # Word errors are counted after training: what counts them must be there before it.
    require("rapidfuzz", extra="speech")
    speech = load_speech(data, utterances, seed=seed, test_speaker=test_speaker, with_development=with_development)
    for name in SPLITS:
        if not getattr(speech, name):
            raise InputError(f"data has no utterances for {name}: give a mapping of train, development and test")
    if like is None:
        labels = Labels.of((utterance.text for utterance in speech.train), units)
        log_mel = LogMelConfig(rate=speech.train[0].recording.rate, bands=bands)
    else:
        labels, log_mel = like.labels, like.log_mel
    parts = (Corpus.of(part, labels, log_mel) for part in (speech.train, speech.development, speech.test))
    return Corpora(*parts, labels=labels, log_mel=log_mel)
