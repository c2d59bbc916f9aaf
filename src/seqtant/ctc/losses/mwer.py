"""Minimum word error rate training, the published alternatives to an edit: over sampled paths and over n-best lists."""

from __future__ import annotations

import torch

from seqtant.ctc.decoding.decoders import BeamDecoder
from seqtant.ctc.lattice.likelihood import ctc_losses
from seqtant.ctc.lattice.paths import CTCInput, PathBatch, path_scores, sample_paths
from seqtant.ctc.losses.base import LossTerm, Schedule, TermLoss, batch_mean
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
        batch_first: Whether inputs are (B, T, V) or, as for ``torch.nn.CTCLoss``, (T, B, V).

    Example:
        >>> sure = torch.tensor([[[-50.0, 0.0]], [[0.0, -50.0]]]).log_softmax(-1)
        >>> float(SampledMWER(1.0)(sure, torch.tensor([[1]]), torch.tensor([2]), torch.tensor([1])))
        0.0
    """

    def __init__(
        self,
        weight: float | Schedule,
        *,
        num_samples: int = 5,
        space: int | None = None,
        blank: int = 0,
        batch_first: bool = False,
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
        # Value: the mean number of errors; gradient: that of the surrogate, advantage times log-probability.
        surrogate = (advantage * path_scores(data.log_probs, paths, data.lengths)).mean(1)
        losses = errors.mean(1) + surrogate - surrogate.detach()
        weight = self.weight.at(step)
        return TermLoss(weight * batch_mean(losses), {"mwer.errors": float(errors.mean()), "mwer.weight": weight})


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
        batch_first: Whether inputs are (B, T, V) or, as for ``torch.nn.CTCLoss``, (T, B, V).

    Example:
        >>> flat = torch.full((2, 1, 2), 0.5).log()
        >>> one = torch.tensor([1])
        >>> loss = NBestMWER(1.0, best=2)(flat, torch.tensor([[1]]), one + 1, one)
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
        batch_first: bool = False,
    ) -> None:
        super().__init__(blank=blank, batch_first=batch_first)
        self.weight, self.best, self.width, self.words = Schedule.of(weight), best, max(width, best), MinimumWER(space)

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Mean over the batch; utterances without frames count as 0."""
        weight = self.weight.at(step)
        hypotheses: list[tuple[int, ...]] = []
        owners: list[int] = []  # the utterance of each hypothesis
        for b, (row, length) in enumerate(zip(data.log_probs.detach(), data.lengths.tolist(), strict=True)):
            if length:
                decoder = BeamDecoder(self.width, data.blank)
                decoder.push(row[:length])
                hypotheses += [hypothesis.labels for hypothesis in decoder.best(self.best)]
            owners += [b] * (len(hypotheses) - len(owners))
        if not hypotheses:
            return TermLoss(data.log_probs.sum() * 0, {"mwer.weight": weight})
        # The hypotheses of all utterances as one batch of targets: [M, longest].
        device = data.log_probs.device
        rows = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(labels, dtype=torch.long) for labels in hypotheses], batch_first=True
        )
        counts = torch.tensor([len(labels) for labels in hypotheses])
        owner = torch.tensor(owners, device=device)
        as_targets = CTCInput(
            data.log_probs[owner], data.lengths[owner], rows.to(device), counts.to(device), data.blank
        )
        likelihoods = -ctc_losses(as_targets)  # [M]
        targets, lengths = data.required_targets()
        references = [tuple(row[:count]) for row, count in zip(targets.tolist(), lengths.tolist(), strict=True)]
        errors = torch.tensor(
            [float(self.words.errors(labels, references[b])) for labels, b in zip(hypotheses, owners, strict=True)]
        ).to(likelihoods)
        risks: list[torch.Tensor] = []
        for b in range(len(data.lengths)):
            scores, wrong = likelihoods[owner == b], errors[owner == b]
            # An empty list sums to 0 and keeps the graph.
            risks.append((torch.softmax(scores, 0) * (wrong - wrong.mean())).sum() if len(wrong) else scores.sum())
        losses = torch.stack(risks)
        return TermLoss(weight * batch_mean(losses), {"mwer.errors": float(errors.mean()), "mwer.weight": weight})
