"""What a recognizer does with a corpus: timings of every utterance, and how silent its output is."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError

from seqtant.ctc.lattice.paths import frame_mask
from seqtant.ctc.recognition.dataset import Corpus
from seqtant.ctc.recognition.latency import Timing, timing
from seqtant.ctc.recognition.recognizer import Recognizer
from seqtant.errors import InputError
from seqtant.runs.files import write_text

_TIMINGS = TypeAdapter(list[Timing])


def outcome(recognizer: Recognizer, corpus: Corpus) -> list[Timing]:
    """Timing of every utterance of a corpus; delays only where its word times are known."""
    return [timing(heard) for heard in recognizer.hear(corpus)]


def untimed(corpus: Corpus) -> list[str]:
    """Names of the utterances whose word times are not known."""
    return [utterance.id for utterance in corpus.utterances if len(utterance.words) != len(utterance.text)]


def cramped(recognizer: Recognizer, corpus: Corpus) -> list[str]:
    """Names of the utterances with fewer model frames than their labels, and the blanks between equal ones, need."""
    stack = recognizer.encoder.config.stack
    return [
        utterance.id
        for utterance, frames, labels in zip(corpus.utterances, corpus.features, corpus.targets, strict=True)
        if len(frames) // stack < len(labels) + sum(a == b for a, b in pairwise(labels))
    ]


def blank_share(recognizer: Recognizer, corpus: Corpus) -> float:
    """Share of model frames at which the blank is the likeliest label."""
    blank = frames = 0
    for _, log_probs, lengths in recognizer.scored(corpus):
        inside = frame_mask(lengths, log_probs.shape[1])
        blank += int(((log_probs.argmax(-1) == recognizer.labels.blank) & inside).sum())
        frames += int(inside.sum())
    return blank / max(frames, 1)


def first_utterances(corpus: Corpus, count: int) -> Corpus:
    """The first utterances of a corpus, for quick looks."""
    return Corpus(corpus.utterances[:count], corpus.features[:count], corpus.targets[:count])


def save_timings(path: Path, timings: list[Timing]) -> None:
    """Keeps timings as JSON, whole or not at all."""
    write_text(path, _TIMINGS.dump_json(timings).decode())


def load_timings(path: Path) -> list[Timing]:
    """Reads what :func:`save_timings` wrote.

    Raises:
        InputError: The file is damaged.
    """
    try:
        return _TIMINGS.validate_json(path.read_bytes())
    except ValidationError as error:
        raise InputError(f"'{path}' is damaged: delete it to run that part again") from error


def same_weights(first: Recognizer, second: Recognizer) -> bool:
    """Whether two recognizers have the same weights to the bit."""
    others = second.encoder.state_dict()
    return all(torch.equal(tensor, others[name]) for name, tensor in first.encoder.state_dict().items())
