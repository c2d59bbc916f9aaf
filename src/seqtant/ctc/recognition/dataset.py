"""Utterances made ready for training: label vocabulary, features, batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqtant.ctc.decoding.word_errors import split_words
from seqtant.ctc.lattice.forced_alignment import Span
from seqtant.ctc.losses.base import TrimTail
from seqtant.data.log_mel import LogMel, LogMelConfig
from seqtant.data.speech import TimedWord, Utterance
from seqtant.errors import InputError, suggest

Units = Literal["word", "letter"]
BLANK = "<blank>"
"""Name of the blank."""


@dataclass(frozen=True)
class Labels:
    """The labels of a model, the blank first.

    Args:
        names: Name of each label; index 0 is the blank.
        units: Whether a label is a word or a letter.

    Example:
        >>> labels = Labels.of([("one", "two"), ("two",)], "word")
        >>> labels.encode(("two", "one")), labels.names
        ([2, 1], ('<blank>', 'one', 'two'))
        >>> Labels.of([("ab", "a")], "letter").encode(("ab", "a"))
        [2, 3, 1, 2]
    """

    names: tuple[str, ...]
    units: Units
    blank: int = 0

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], units: Units) -> Labels:
        """Collects all labels that some texts need, the blank first.

        Raises:
            InputError: The texts hold no word.
        """
        words = {word for text in texts for word in text}
        if not words:
            raise InputError("the texts hold no word: there is nothing to recognize")
        if units == "word":
            return cls((BLANK, *sorted(words)), units)
        return cls((BLANK, " ", *sorted({letter for word in words for letter in word})), units)

    @property
    def space(self) -> int | None:
        """Label between words; None where every label is a word."""
        return 1 if self.units == "letter" else None

    def encode(self, words: Sequence[str]) -> list[int]:
        """Encodes a text.

        Raises:
            InputError: A word or letter has no label.
        """
        index = {name: number for number, name in enumerate(self.names)}
        parts = list(words) if self.units == "word" else list(" ".join(words))
        for part in parts:
            if part not in index or part == BLANK:
                raise InputError(
                    f"the model has no label '{part}'{suggest(part, self.names)}: it cannot learn or say it"
                )
        return [index[part] for part in parts]

    def words(self, spans: Sequence[Span], *, frame_seconds: float) -> list[TimedWord]:
        """Joins decoded labels to words; a word is emitted when its last label first appears.

        Args:
            spans: Decoded labels on the time axis.
            frame_seconds: Seconds per model frame; a frame is known at its end.

        Returns:
            Words whose ``start`` is the time of emission and whose ``end`` is the end of their last frame.
        """
        words: list[TimedWord] = []
        for word in split_words([span.label for span in spans], self.space):
            # Frame t is known at its end, (t + 1) frames after the start.
            last = spans[word.positions[-1]]
            emitted, end = (last.start + 1) * frame_seconds, max(last.end, last.start + 1) * frame_seconds
            words.append(TimedWord("".join(self.names[label] for label in word.labels), emitted, end))
        return words


@dataclass(frozen=True)
class Corpus:
    """Utterances with the log-mel frames and the labels of each, computed once."""

    utterances: list[Utterance]
    features: list[Float[Tensor, "T bands"]]
    targets: list[list[int]]

    @classmethod
    def of(cls, utterances: Sequence[Utterance], labels: Labels, log_mel: LogMelConfig) -> Corpus:
        """Computes features at the rate of ``log_mel`` and encodes the texts."""
        if not utterances:
            raise InputError("no utterances: give at least one")
        extractor = LogMel(log_mel)
        sounds = [torch.from_numpy(utterance.recording.at(log_mel.rate).samples) for utterance in utterances]
        return cls(
            list(utterances),
            [extractor.whole(sound) for sound in sounds],
            [labels.encode(utterance.text) for utterance in utterances],
        )

    def __len__(self) -> int:
        return len(self.utterances)

    @property
    def without_timestamps(self) -> list[str]:
        """Names of the utterances whose word times are not known."""
        return [utterance.id for utterance in self.utterances if len(utterance.words) != len(utterance.text)]

    def collate(self, chosen: Sequence[int]) -> dict[str, Tensor]:
        """Pads some utterances to one batch: ``features``, ``lengths``, ``targets``, ``target_lengths``."""
        features = [self.features[i] for i in chosen]
        targets = [torch.tensor(self.targets[i], dtype=torch.long) for i in chosen]
        return {
            "features": pad_sequence(features, batch_first=True),
            "lengths": torch.tensor([len(frames) for frames in features]),
            "targets": pad_sequence(targets, batch_first=True),
            "target_lengths": torch.tensor([len(labels) for labels in targets]),
        }


class CorpusBatches:
    """Batches, without replacement within an epoch, that depend on nothing but the corpus, the seed and the step.

    Example:
        >>> corpus = Corpus([], [torch.zeros(5, 2), torch.zeros(4, 2)], [[1], [1, 1]])
        >>> sorted(CorpusBatches(corpus, 2, seed=0).batch(0))
        ['features', 'lengths', 'step', 'target_lengths', 'targets']
    """

    def __init__(self, corpus: Corpus, size: int, *, seed: int, trim: TrimTail | None = None) -> None:
        if not 1 <= size <= len(corpus.features):
            raise InputError(f"batch size {size}: the corpus has {len(corpus.features)} utterances, use 1 to that many")
        self.corpus, self.size, self.seed, self.trim = corpus, size, seed, trim or TrimTail(0)

    @property
    def fingerprint(self) -> str:
        """What a resumed run compares: the texts, the numbers of frames, the seed and the batch size."""
        shape = [
            (len(frames), labels) for frames, labels in zip(self.corpus.features, self.corpus.targets, strict=True)
        ]
        return hashlib.sha256(repr((shape, self.size, self.seed, self.trim)).encode()).hexdigest()[:16]

    def batch(self, step: int) -> dict[str, Tensor]:
        """Builds the batch of one step, with the step itself in every row."""
        # The incomplete last batch of an epoch is left out; every epoch has an order of its own.
        per_epoch = len(self.corpus.features) // self.size
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.corpus.features))
        batch = self.corpus.collate(order[place * self.size : (place + 1) * self.size].tolist())
        # Cut by the step, not by a running generator: an interrupted run resumes with the same batches.
        generator = torch.Generator().manual_seed(step_seed(self.seed, step))
        lengths = self.trim(batch["lengths"], generator)
        return batch | {"lengths": lengths, "step": torch.full_like(lengths, step)}


def step_seed(seed: int, step: int) -> int:
    """Derives an independent seed for each step of each run.

    Example:
        >>> step_seed(0, 1) == step_seed(0, 1) != step_seed(1, 0)
        True
    """
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)
