"""Published alternatives to Align With Purpose: losses that replace CTC, and terms that are added to it."""

from __future__ import annotations

import math

import torch
from jaxtyping import Int
from torch import Tensor

from seqtant.ctc.decoding.decoders import BeamDecoder
from seqtant.ctc.lattice.likelihood import alignment_log_sum, ctc_losses, unnormalized_ctc_losses
from seqtant.ctc.lattice.paths import CTCInput, PathBatch, frame_mask, path_scores, sample_paths
from seqtant.ctc.losses.base import LossTerm, Schedule, TermLoss, batch_mean, fraction
from seqtant.ctc.losses.minimum_wer import MinimumWER
from seqtant.errors import InputError


class DelayPenalizedCTC(LossTerm):
    """CTC over the lattice in which a token first emitted at frame t scores ``-penalty (t - floor(T / 2))``.

    Repeats and blanks pay nothing. Replaces CTC. Source: the lattice rule of k2's delay-penalized CTC.

    Args:
        penalty: Nats per frame of delay; 0 is CTC.
        blank: Index of the blank.
        batch_first: Whether inputs are (B, T, V) or, as for ``torch.nn.CTCLoss``, (T, B, V).

    Raises:
        InputError: The penalty is negative or not finite.

    Example:
        >>> half, one = torch.full((2, 1, 2), 0.5).log(), torch.tensor([1])
        >>> DelayPenalizedCTC(0.0)(half, torch.tensor([[1]]), one + 1, one)
        tensor(0.2877)
    """

    def __init__(self, penalty: float, *, blank: int = 0, batch_first: bool = False) -> None:
        super().__init__(blank=blank, batch_first=batch_first)
        if not math.isfinite(penalty) or penalty < 0:
            raise InputError(f"penalty is {penalty}: it must be finite and 0 or more, in nats per frame")
        self.penalty = penalty

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Mean over the batch of the penalized negative log-likelihood."""
        possible = data.possible
        frames = torch.arange(data.log_probs.shape[1], device=data.lengths.device)
        # Counted from the middle, as in k2: early tokens gain what late ones pay.
        late = frames - torch.div(data.lengths, 2, rounding_mode="floor")[:, None]
        targets, counts = data.required_targets()
        entry = (-self.penalty * late.to(data.log_probs))[..., None].expand(-1, -1, targets.shape[1])
        # A target that cannot fit runs as an empty one: finite, and masked below.
        sums = alignment_log_sum(
            data.log_probs, data.lengths, targets, torch.where(possible, counts, 0), blank=data.blank, entry=entry
        )
        losses = torch.where(possible, -sums, torch.zeros_like(sums))
        return TermLoss(batch_mean(losses), {"ctc.impossible": fraction(~possible)})


class BayesRiskCTC(LossTerm):
    """``-(1/U) sum_u log sum_t P(target, token u ends at frame t) exp(-risk t / T)``. Replaces CTC.

    Time is turned round, so that the last frame of a token is its first: then the weight is an arc score of the
    lattice, and each token has a lattice of its own (memory grows with U). Source: Bayes Risk CTC, arXiv 2210.07499,
    in its down-sampling and early-emission form as other toolkits implement it.

    Args:
        risk: Strength of the preference for early ends; 0 is CTC.
        blank: Index of the blank.
        batch_first: Whether inputs are (B, T, V) or, as for ``torch.nn.CTCLoss``, (T, B, V).

    Example:
        >>> half, one = torch.full((2, 1, 2), 0.5).log(), torch.tensor([1])
        >>> BayesRiskCTC(0.0)(half, torch.tensor([[1]]), one + 1, one)
        tensor(0.2877)
    """

    def __init__(self, risk: float, *, blank: int = 0, batch_first: bool = False) -> None:
        super().__init__(blank=blank, batch_first=batch_first)
        self.risk = risk

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Mean over the batch of the per-token mean risk."""
        possible = data.possible
        targets, counts = data.required_targets()
        # A target that cannot fit runs as an empty one: finite, and masked at the end.
        counts = torch.where(possible, counts, 0)
        B, T, _ = data.log_probs.shape
        U = max(targets.shape[1], 1)
        # Each utterance runs backwards: the last frame of a token becomes the first, where entries are scored.
        # ``reverse`` is also the true frame number of each turned place, which the penalty below needs.
        reverse = _reverse_index(data.lengths, T)  # [B, T]
        scores = data.log_probs.gather(1, reverse[..., None].expand_as(data.log_probs))
        backwards = targets.gather(1, _reverse_index(counts, targets.shape[1]))
        penalty = -self.risk * reverse.to(scores) / data.lengths.clamp(min=1)[:, None]
        # Lattice u of an utterance scores the entry of token u only: [B, U lattices, T, U tokens].
        entry = penalty[:, None, :, None] * torch.eye(U, device=scores.device, dtype=scores.dtype)[None, :, None]
        sums = alignment_log_sum(
            # Row b * U + u is lattice u of utterance b, the order in which ``entry`` is flattened.
            scores.repeat_interleave(U, 0),
            data.lengths.repeat_interleave(U),
            backwards.repeat_interleave(U, 0),
            counts.repeat_interleave(U),
            blank=data.blank,
            entry=entry.reshape(B * U, T, U)[..., : targets.shape[1]],
        ).reshape(B, U)
        # An utterance without tokens counts its one lattice, whose entry scores nothing: plain CTC.
        used = counts.clamp(min=1)
        per_token = torch.where(frame_mask(used, U), -sums, torch.zeros_like(sums)).sum(1) / used
        losses = torch.where(possible, per_token, torch.zeros_like(per_token))
        return TermLoss(batch_mean(losses), {"ctc.impossible": fraction(~possible)})


def _reverse_index(lengths: Int[Tensor, " B"], size: int) -> Int[Tensor, "B size"]:
    """Index that turns each row's first ``length`` places round and leaves the rest."""
    places = torch.arange(size, device=lengths.device).expand(len(lengths), -1)
    return torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)


class LabelPriorCTC(LossTerm):
    """CTC on ``log p - scale * log prior``, which makes alignments less peaked. Replaces CTC.

    The prior is a running mean of the model's own posteriors, a constant for the gradient; the scores are not
    normalized any more, so the gradient is the exact one of :func:`unnormalized_ctc_losses`.

    Args:
        scale: Share of the log-prior taken out; 0 is CTC.
        momentum: Weight of the newest batch in the running mean.
        blank: Index of the blank.
        batch_first: Whether inputs are (B, T, V) or, as for ``torch.nn.CTCLoss``, (T, B, V).

    Example:
        >>> half, one = torch.full((2, 1, 2), 0.5).log(), torch.tensor([1])
        >>> LabelPriorCTC(0.0)(half, torch.tensor([[1]]), one + 1, one)
        tensor(0.2877)
    """

    prior: Tensor

    def __init__(self, scale: float, *, momentum: float = 0.1, blank: int = 0, batch_first: bool = False) -> None:
        super().__init__(blank=blank, batch_first=batch_first)
        self.scale, self.momentum = scale, momentum
        self.register_buffer("prior", torch.empty(0))

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Updates the running prior while training, then averages the loss over the batch."""
        if self.training or not self.prior.numel():
            with torch.no_grad():
                frames = data.log_probs[frame_mask(data.lengths, data.log_probs.shape[1])].exp()  # [frames, V]
                V = data.log_probs.shape[2]
                now = frames.mean(0) if len(frames) else data.log_probs.new_full((V,), 1 / V)
                # lerp(old, new, momentum) = (1 - momentum) old + momentum new; the first batch sets the prior as it is.
                self.prior = torch.lerp(self.prior, now, self.momentum) if self.prior.numel() else now
        # A label that is never emitted would get an infinite bonus: its prior counts as 1e-8.
        scores = data.log_probs - self.scale * self.prior.clamp(min=1e-8).log()
        shifted = CTCInput(scores, data.lengths, data.targets, data.target_lengths, data.blank)
        stats = {"ctc.impossible": fraction(~data.possible), "prior.blank": float(self.prior[data.blank])}
        return TermLoss(batch_mean(unnormalized_ctc_losses(shifted)), stats)


class PeakFirst(LossTerm):
    """``weight * sum_t KL(p_{t+1} || p_t)`` with the next frame's distribution held fixed. Added to CTC.

    Source: Peak-First CTC, arXiv 2211.03284 (frame-wise distillation towards the next frame).

    Args:
        weight: Weight of the term, or a schedule.
        blank: Index of the blank.
        batch_first: Whether inputs are (B, T, V) or, as for ``torch.nn.CTCLoss``, (T, B, V).

    Example:
        >>> flat = torch.full((3, 1, 2), 0.5).log()
        >>> PeakFirst(1.0)(flat, None, torch.tensor([3]))
        tensor(0.)
    """

    def __init__(self, weight: float | Schedule, *, blank: int = 0, batch_first: bool = False) -> None:
        super().__init__(blank=blank, batch_first=batch_first)
        self.weight = Schedule.of(weight)

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Sum over frames, mean over the batch."""
        weight = self.weight.at(step)
        following = data.log_probs[:, 1:].detach()
        probabilities = following.exp()
        # A label the model cannot emit at the next frame asks nothing of this one: 0 * -inf is 0 here.
        difference = torch.where(probabilities > 0, following - data.log_probs[:, :-1], 0.0)
        divergence = (probabilities * difference).sum(-1)
        inside = frame_mask(data.lengths - 1, divergence.shape[1])
        losses = torch.where(inside, divergence, torch.zeros_like(divergence)).sum(1)
        loss = batch_mean(losses)
        return TermLoss(weight * loss, {"peak-first.weight": weight, "peak-first.kl": float(loss.detach())})


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
        # The surrogate's value cancels, its gradient stays.
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
        # Sums over all alignments, with a gradient; the beam's own scores have none and miss what it pruned.
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
