"""Speech made ready: features and labels of every utterance, and the batches that training asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from seqtant.ctc.losses.trim_tail import TrimTail
from seqtant.ctc.recognition.labels import Labels
from seqtant.data.log_mel import LogMel, LogMelConfig
from seqtant.data.speech import Utterance
from seqtant.errors import InputError


@dataclass(frozen=True)
class Corpus:
    """Utterances with their features and labels, computed once.

    Args:
        utterances: Where everything else comes from.
        features: Log-mel frames of each, (T, bands).
        targets: Labels of each.
    """

    utterances: list[Utterance]
    features: list[Float[Tensor, "T bands"]]
    targets: list[list[int]]

    @classmethod
    def of(cls, utterances: Sequence[Utterance], labels: Labels, log_mel: LogMelConfig) -> Corpus:
        """Computes features at the rate of ``log_mel`` and encodes the texts.

        Raises:
            InputError: There is no utterance, or a word has no label.
        """
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

    def statistics(self) -> tuple[Float[Tensor, " bands"], Float[Tensor, " bands"]]:
        """Mean and standard deviation of each band over all frames."""
        frames = torch.cat(self.features)
        return frames.mean(0), frames.std(0)

    def rows(self, chosen: Sequence[int]) -> dict[str, Tensor]:
        """Some utterances as one padded batch: ``features``, ``lengths``, ``targets``, ``target_lengths``."""
        features = [self.features[i] for i in chosen]
        targets = [torch.tensor(self.targets[i], dtype=torch.long) for i in chosen]
        return {
            "features": pad_sequence(features, batch_first=True),
            "lengths": torch.tensor([len(frames) for frames in features]),
            "targets": pad_sequence(targets, batch_first=True),
            "target_lengths": torch.tensor([len(labels) for labels in targets]),
        }


class CorpusBatches:
    """Batches that depend on nothing but the corpus, the seed and the step.

    Args:
        corpus: Utterances to draw from, without replacement within an epoch.
        size: Utterances per batch.
        seed: Of the order.
        trim: What TrimTail cuts, in feature frames.

    Example:
        >>> from seqtant.ctc.recognition.labels import Labels
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
        """The batch of one step, with the step itself in every row."""
        per_epoch = len(self.corpus.features) // self.size
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.corpus.features))
        batch = self.corpus.rows(order[place * self.size : (place + 1) * self.size].tolist())
        generator = torch.Generator().manual_seed(step_seed(self.seed, step))
        lengths = self.trim(batch["lengths"], generator)
        return batch | {"lengths": lengths, "step": torch.full_like(lengths, step)}


def step_seed(seed: int, step: int) -> int:
    """A seed of its own for each step of each run.

    Example:
        >>> step_seed(0, 1) == step_seed(0, 1) != step_seed(1, 0)
        True
    """
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)
