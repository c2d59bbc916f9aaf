"""Where a verb gets its model and its sound: from the user, or, to show how it works, from tones within seconds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seqtant.ctc.config import TrainConfig
from seqtant.ctc.recognition.recognizer import Recognizer
from seqtant.ctc.recognition.sources import Corpora, load_corpora
from seqtant.ctc.training.training import train_plain
from seqtant.data.audio import read_audio
from seqtant.data.speech import Utterance
from seqtant.errors import InputError
from seqtant.runs.context import Context

MADE_UP = "No model was given: a small one was trained on tones, which are no speech."


@dataclass(frozen=True)
class Listener:
    """A recognizer, and whether it is the made-up one."""

    recognizer: Recognizer
    is_made_up: bool


def listener(model: str | None, context: Context) -> Listener:
    """Loads a recognizer, or trains the small one.

    Raises:
        InputError: The folder holds no recognizer.
    """
    if model is not None:
        return Listener(Recognizer.load(Path(model)), is_made_up=False)
    return Listener(_tone_recognizer(context.seed), is_made_up=True)


def sound(file: str | None, seed: int, *, text: str = "") -> Utterance:
    """Reads a sound file as one utterance, or gives the made-up one with its true word times.

    Raises:
        InputError: The file is not there or is no sound.
    """
    if file is None:
        return _tone_corpora(seed).test.utterances[0]
    path = Path(file)
    return Utterance(path.stem, read_audio(path), tuple(text.split()))


def demand_same_sound(*, made_up_sound: bool, made_up_model: bool) -> None:
    """Refuses to mix the user's sound with the tone model, or the tones with the user's model, in silence.

    Raises:
        InputError: Only one of the two is the user's.
    """
    if made_up_sound != made_up_model:
        lacking = "--model with a recognizer of yours" if made_up_model else "a sound file of yours"
        raise InputError(f"model and sound belong together: give {lacking}, or neither for a demonstration")


@cache
def _tone_corpora(seed: int) -> Corpora:
    return load_corpora(TrainConfig.smoke(), seed=seed)


@cache
def _tone_recognizer(seed: int) -> Recognizer:
    config = TrainConfig.smoke()
    return train_plain(config, _tone_corpora(seed), context=Context(device="cpu"), seed=seed, to_zero=True)
