"""From a configuration to speech: recordings, lists, texts or tones become training, development and test corpora."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seqtant.ctc.config import Network, SpeechConfig, Utterances
from seqtant.ctc.recognition.dataset import Corpus
from seqtant.ctc.recognition.labels import Labels
from seqtant.ctc.recognition.recognizer import Recognizer
from seqtant.data.digits import DigitStrings, SpokenDigit, connect_digits, read_fsdd, split_digits
from seqtant.data.espeak import speak_texts, words_of
from seqtant.data.log_mel import LogMelConfig
from seqtant.data.speech import Utterance, read_folder, read_manifest
from seqtant.data.tones import tone_digits
from seqtant.errors import InputError
from seqtant.models.ctc_encoder import CTCEncoder, CTCEncoderConfig
from seqtant.optional import require

PARTS = ("train", "development", "test")


@dataclass(frozen=True)
class Speech:
    """Utterances of the three parts; no recording is in two of them."""

    train: list[Utterance]
    development: list[Utterance]
    test: list[Utterance]
    is_real: bool


@dataclass(frozen=True)
class Corpora:
    """The same with features and labels, and what they were made with."""

    train: Corpus
    development: Corpus
    test: Corpus
    labels: Labels
    log_mel: LogMelConfig


def load_speech(
    data: str | None,
    utterances: Utterances,
    *,
    seed: int,
    test_speaker: str | None = None,
    with_development: bool = True,
) -> Speech:
    """Reads or makes the utterances of a run.

    Test utterances do not depend on the seed: all seeds are measured on the same ones. Where nothing is decided during
    training, the recordings set aside for that are learned from as well (``with_development=False``).

    Raises:
        InputError: The data cannot be used.
    """
    given = None if data is None else _given(Path(data), utterances, seed)
    if given is not None:
        if test_speaker is not None:
            raise InputError("test_speaker is for recordings of digits: lists and texts have a test part of their own")
        return given
    digits = tone_digits(np.random.default_rng(0)) if data is None else read_fsdd(Path(data))
    split = split_digits(digits, test_speaker=test_speaker, first_test_take=utterances.first_test_take)
    return Speech(
        _strings(
            split.train + ([] if with_development else split.development),
            utterances,
            utterances.train,
            [seed, 0],
            "train",
        ),
        _strings(
            split.development, utterances, utterances.development if with_development else 1, [seed, 1], "development"
        ),
        _strings(split.test, utterances, utterances.test, [2], "test"),
        is_real=data is not None,
    )


def _given(data: Path, utterances: Utterances, seed: int) -> Speech | None:
    """What comes in parts already: lists, folders, or a text whose lines are spoken; None for recordings of digits."""
    if (data / "train.jsonl").is_file():
        return Speech(*(read_manifest(data / f"{name}.jsonl") for name in PARTS), is_real=True)
    if (data / "train").is_dir():
        return Speech(*(read_folder(data / name) for name in PARTS), is_real=True)
    if data.suffix == ".txt":
        return _spoken(data, utterances, seed)
    if not data.is_dir():
        raise InputError(
            f"no folder '{data}': give a spoken-digit checkout, a folder with train.jsonl or train/, or a .txt file"
        )
    return None


def _spoken(path: Path, utterances: Utterances, seed: int) -> Speech:
    """Lines of a text spoken by eSpeak NG; every tenth line is for development, every tenth for testing."""
    if not path.is_file():
        raise InputError(f"no text '{path}': give a file with one sentence a line")
    texts = [words for line in path.read_text(encoding="utf-8").splitlines() if (words := words_of(line))]
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
        for place, (name, lines) in enumerate(zip(PARTS, parts, strict=True))
    )
    return Speech(train, development, test, is_real=False)


def load_corpora(config: SpeechConfig, *, seed: int, with_development: bool = True) -> Corpora:
    """The corpora of a training run, with labels taken from the training texts.

    Raises:
        InputError: The data cannot be used.
        MissingExtraError: The extra ``speech`` is not installed.
    """
    # Word errors are counted after training: what counts them must be there before it.
    require("rapidfuzz", extra="speech")
    speech = load_speech(
        config.data,
        config.utterances,
        seed=seed,
        test_speaker=config.test_speaker,
        with_development=with_development,
    )
    labels = Labels.of((utterance.text for utterance in speech.train), config.units)
    log_mel = LogMelConfig(rate=speech.train[0].recording.rate, bands=config.network.bands)
    return corpora_of(speech, labels, log_mel)


def corpora_of(speech: Speech, labels: Labels, log_mel: LogMelConfig) -> Corpora:
    """Features and labels of all three parts."""
    parts = (Corpus.of(part, labels, log_mel) for part in (speech.train, speech.development, speech.test))
    return Corpora(*parts, labels=labels, log_mel=log_mel)


def new_recognizer(network: Network, corpora: Corpora, *, seed: int) -> Recognizer:
    """A recognizer with fresh weights, its features normalized to the training corpus."""
    shape = CTCEncoderConfig(
        features=corpora.log_mel.bands,
        labels=len(corpora.labels.names),
        stack=network.stack,
        channels=network.channels,
        dilations=network.dilations,
    )
    encoder = CTCEncoder(shape, seed=seed)
    encoder.set_normalization(*corpora.train.statistics())
    return Recognizer(encoder, corpora.labels, corpora.log_mel)


def _strings(
    digits: Sequence[SpokenDigit], utterances: Utterances, count: int, seed: list[int], name: str
) -> list[Utterance]:
    strings = DigitStrings(count=count, words=utterances.digits, noise=utterances.noise, level=utterances.level)
    if name == "train":
        strings = replace(strings, speed=utterances.speed)
    else:
        strings = replace(strings, tail=(utterances.tail, utterances.tail))
    return connect_digits(digits, strings, np.random.default_rng(seed), prefix=name)
