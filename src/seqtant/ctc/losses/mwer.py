"""Minimum word error rate training, the published alternatives to an edit: over sampled paths and over n-best lists."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.ctc.decoding.beam import BeamDecoder
from seqtant.ctc.lattice.ctc_loss import ctc_losses
from seqtant.ctc.lattice.inputs import CTCInput
from seqtant.ctc.lattice.paths import PathBatch, path_scores, sample_paths
from seqtant.ctc.lattice.schedule import Schedule
from seqtant.ctc.losses.base import LossTerm, TermLoss, mean
from seqtant.ctc.losses.minimum_wer import MinimumWER
from seqtant.errors import InputError


class SampledMWER(LossTerm):
    """Expected word errors over sampled paths, by the score-function estimator with a mean baseline. Added to CTC.

    The value is the mean number of word errors, the gradient that of its expectation. Source: sampled minimum word
    error rate training, arXiv 1712.01818, carried over to CTC paths.

    Args:
        weight: Weight of the term, or a schedule.
        num_samples: Paths per utterance, at least 2.
        space: Label between words; None where every token is a word.
        blank: Index of the blank.
        batch_first: Layout of the inputs.

    Example:
        >>> sure = torch.tensor([[[-50.0, 0.0], [0.0, -50.0]]]).log_softmax(-1)
        >>> float(SampledMWER(1.0)(sure, torch.tensor([2]), torch.tensor([[1]]), torch.tensor([1])).loss)
        0.0
    """

    def __init__(
        self,
        weight: float | Schedule,
        *,
        num_samples: int = 5,
        space: int | None = None,
        blank: int = 0,
        batch_first: bool = True,
    ) -> None:
        super().__init__(blank=blank, batch_first=batch_first)
        if num_samples < 2:
            raise InputError(f"num_samples is {num_samples}: a baseline needs at least two paths")
        self.weight, self.num_samples, self.words = Schedule.of(weight), num_samples, MinimumWER(space)

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Mean over paths and batch."""
        targets, counts = data.required_targets()
        paths = sample_paths(data.log_probs, self.num_samples, generator=generator)
        batch = PathBatch(paths, data.lengths, data.blank, targets, counts)
        errors = self.words.cost(batch).to(data.log_probs)
        # The mean over N paths includes the path itself: N / (N - 1) makes the estimate unbiased.
        advantage = (errors - errors.mean(1, keepdim=True)) * self.num_samples / (self.num_samples - 1)
        surrogate = (advantage * path_scores(data.log_probs, paths, data.lengths)).mean(1)
        losses = errors.mean(1) + surrogate - surrogate.detach()
        weight = self.weight.at(step)
        return TermLoss(weight * mean(losses), {"mwer.errors": float(errors.mean()), "mwer.weight": weight})


class NBestMWER(LossTerm):
    """Expected word errors over the n best label sequences, their probabilities normalized. Added to CTC.

    ``sum_i P_i (W_i - mean W)`` with ``P`` the softmax of the sequences' CTC log-likelihoods. Source: minimum word
    error rate training over n-best lists, arXiv 1712.01818.

    Args:
        weight: Weight of the term, or a schedule.
        best: Sequences per utterance.
        width: Beam width of the search for them.
        space: Label between words; None where every token is a word.
        blank: Index of the blank.
        batch_first: Layout of the inputs.

    Example:
        >>> flat = torch.full((1, 2, 2), 0.5).log()
        >>> one = torch.tensor([1])
        >>> loss = NBestMWER(1.0, best=2)(flat, one + 1, torch.tensor([[1]]), one).loss
        >>> round(float(loss), 4)  # P = (3/4, 1/4), W = (0, 1)
        -0.25
    """

    def __init__(
        self,
        weight: float | Schedule,
        *,
        best: int = 4,
        width: int = 8,
        space: int | None = None,
        blank: int = 0,
        batch_first: bool = True,
    ) -> None:
        super().__init__(blank=blank, batch_first=batch_first)
        self.weight, self.best, self.width, self.words = Schedule.of(weight), best, max(width, best), MinimumWER(space)

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Mean over the batch; utterances without frames count as 0."""
        weight = self.weight.at(step)
        lists = [self._search(row[:length], data.blank) for row, length in _rows(data)]
        owners = torch.tensor([b for b, found in enumerate(lists) for _ in found], dtype=torch.long)
        flat = [labels for found in lists for labels in found]
        if not flat:
            return TermLoss(data.log_probs.sum() * 0, {"mwer.weight": weight})
        likelihoods = -ctc_losses(_as_targets(data, owners, flat))
        errors = torch.tensor(self._errors(data, owners, flat)).to(likelihoods)
        losses = torch.stack([_risk(likelihoods[owners == b], errors[owners == b]) for b in range(len(lists))])
        return TermLoss(weight * mean(losses), {"mwer.errors": float(errors.mean()), "mwer.weight": weight})

    def _search(self, log_probs: Float[Tensor, "T V"], blank: int) -> list[tuple[int, ...]]:
        if not len(log_probs):
            return []
        decoder = BeamDecoder(self.width, blank)
        decoder.push(log_probs)
        return [hypothesis.labels for hypothesis in decoder.best(self.best)]

    def _errors(self, data: CTCInput, owners: Int[Tensor, " M"], flat: list[tuple[int, ...]]) -> list[float]:
        targets, counts = data.required_targets()
        references = [tuple(row[:count]) for row, count in zip(targets.tolist(), counts.tolist(), strict=True)]
        pairs = zip(flat, owners.tolist(), strict=True)
        return [float(self.words.errors(labels, references[owner])) for labels, owner in pairs]


def _rows(data: CTCInput) -> list[tuple[Float[Tensor, "T V"], int]]:
    return list(zip(data.log_probs.detach(), data.lengths.tolist(), strict=True))


def _as_targets(data: CTCInput, owners: Int[Tensor, " M"], flat: list[tuple[int, ...]]) -> CTCInput:
    counts = torch.tensor([len(labels) for labels in flat])
    targets = torch.zeros(len(flat), int(counts.max()), dtype=torch.long)
    for row, labels in enumerate(flat):
        targets[row, : len(labels)] = torch.tensor(labels, dtype=torch.long)
    device = data.log_probs.device
    return CTCInput(
        data.log_probs[owners.to(device)],
        data.lengths[owners.to(device)],
        targets.to(device),
        counts.to(device),
        data.blank,
    )


def _risk(likelihoods: Float[Tensor, " M"], errors: Float[Tensor, " M"]) -> Float[Tensor, ""]:
    if not len(errors):
        return likelihoods.sum()
    return (torch.softmax(likelihoods, 0) * (errors - errors.mean())).sum()
