"""Align With Purpose: a loss that ranks a better path above each sampled one, in any CTC model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from seqtant.ctc.lattice.paths import CTCInput, PathBatch, path_scores, sample_paths
from seqtant.ctc.losses.base import LossTerm, Schedule, TermLoss, fraction
from seqtant.ctc.losses.properties import PROPERTIES, Property
from seqtant.errors import InputError

Score = Literal["frame-mean", "sum"]
Reduction = Literal["sample-sum", "mean"]


class AlignWithPurpose(LossTerm):
    """Sample paths, make each better, and push the better path's score above the sampled one's.

    For N paths a of an utterance and their better versions b: ``sum_i max(S(a_i) - S(b_i) + margin, 0)``, averaged
    over the batch, where S is the mean log-probability per frame. No gradient flows through the sampling or the edit.
    Called as ``torch.nn.CTCLoss`` is and added to it, ``loss = ctc_loss(...) + purpose(...)``; a property such as low
    latency needs no targets, and ``None`` may stand in their place. ``stats`` then says what the call did.
    Source: Align With Purpose, arXiv 2307.01715, in the form its published code computes.

    Args:
        properties: Property objects or registered names; all edit the same samples.
        weight: Weight of the loss: a number, a :class:`Schedule` over steps, or one of these per property.
        num_samples: Paths per utterance, N.
        margin: Score difference to be reached, nats per frame; pairs that no edit changed never count.
        temperature: Of the sampling distribution only.
        score: ``frame-mean`` divides by the utterance's frames, ``sum`` does not.
        reduction: Over the samples: ``sample-sum`` as published, or ``mean``; always the mean over the batch.
        blank: Index of the blank; negative counts from the end.
        batch_first: Whether inputs are (B, T, V) or, as for ``torch.nn.CTCLoss``, (T, B, V).
        epsilon: Added inside the logarithm of every frame; 0 is right, the published code uses 1e-7.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> log_probs = torch.randn(6, 2, 4, generator=generator).log_softmax(-1)  # (T, B, V)
        >>> purpose = AlignWithPurpose(["low-latency"], weight=0.5)
        >>> loss = purpose(log_probs, torch.tensor([[1, 2], [3, 0]]), (6, 4), (2, 1), generator=generator)
        >>> loss.ndim, 0 <= purpose.stats["low-latency.active"] <= 1
        (0, True)
    """

    def __init__(
        self,
        properties: Sequence[Property | str] = ("low-latency",),
        weight: float | Schedule | Sequence[float | Schedule] = 1.0,
        *,
        num_samples: int = 5,
        margin: float = 0.0,
        temperature: float = 1.0,
        score: Score = "frame-mean",
        reduction: Reduction = "sample-sum",
        blank: int = 0,
        batch_first: bool = False,
        epsilon: float = 0.0,
    ) -> None:
        super().__init__(blank=blank, batch_first=batch_first)
        if num_samples < 1:
            raise InputError(f"num_samples is {num_samples}: at least one path must be drawn")
        if not margin >= 0:
            raise InputError(f"margin is {margin}: it must be 0 or more, in nats per frame")
        if not temperature > 0:
            raise InputError(f"temperature is {temperature}: it must be above 0")
        if score not in {"frame-mean", "sum"}:
            raise InputError(f"score is '{score}': use 'frame-mean' or 'sum'")
        if reduction not in {"sample-sum", "mean"}:
            raise InputError(f"reduction is '{reduction}': use 'sample-sum' or 'mean'")
        if isinstance(properties, str) or not isinstance(properties, Sequence) or not properties:
            raise InputError(f"properties is {properties!r:.60}: give a list of at least one, and weights as weight=")
        self.properties = tuple(PROPERTIES[item]() if isinstance(item, str) else item for item in properties)
        self.names = tuple(item if isinstance(item, str) else type(item).__name__ for item in properties)
        each = weight if isinstance(weight, Sequence) else [weight] * len(self.properties)
        if len(each) != len(self.properties):
            raise InputError(f"{len(each)} weights for {len(self.properties)} properties: give one, or one each")
        self.weights = tuple(Schedule.of(item) for item in each)
        self.num_samples, self.margin, self.temperature = num_samples, margin, temperature
        self.score, self.reduction = score, reduction
        self.epsilon = epsilon

    @classmethod
    def as_published(cls, weight: float | Schedule = 1.0, *, blank: int = 28, margin: float = 0.0) -> AlignWithPurpose:
        """Builds low latency by the conventions of the code published with the paper, for comparison with it.

        Any redundant frame but the last may go, padding included, and 1e-7 is added inside every logarithm.
        """
        from seqtant.ctc.losses.low_latency import LowLatency

        return cls([LowLatency(candidates="published")], weight, margin=margin, blank=blank, epsilon=1e-7)

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Computes the weighted loss of one checked batch.

        Statistics per property: ``gap`` (mean score of better minus sampled path, over the pairs that count),
        ``changed`` (share of samples that an edit improved), ``active`` (share of samples with a gradient),
        ``weight``; and ``invalid`` (share of utterances without a frame). While all weights are 0 nothing is drawn.

        Raises:
            InputError: A property needs targets and none were given.
        """
        weights = [schedule.at(step) for schedule in self.weights]
        stats = {"invalid": fraction(data.lengths == 0)}
        stats |= {f"{name}.weight": weight for name, weight in zip(self.names, weights, strict=True)}
        total = data.log_probs.new_zeros(())
        if not any(weights):
            return TermLoss(total, stats)
        paths = sample_paths(data.log_probs, self.num_samples, temperature=self.temperature, generator=generator)
        batch = PathBatch(paths, data.lengths, data.blank, data.targets, data.target_lengths)
        sampled = path_scores(data.log_probs, paths, data.lengths, epsilon=self.epsilon)  # [B, N]
        for name, rule, weight in zip(self.names, self.properties, weights, strict=True):
            if not weight:
                continue
            if rule.needs_targets and batch.targets is None:
                raise InputError(f"{type(rule).__name__} compares with the reference: give targets and target_lengths")
            edit = rule.edit(batch, generator)
            better = path_scores(data.log_probs, edit.paths, data.lengths, epsilon=self.epsilon)  # [B, N]
            # A label the model cannot emit (log-probability -inf) makes a pair no gradient can rank; NaN stays NaN.
            counted = edit.changed & ~(torch.isneginf(better) | torch.isneginf(sampled)).detach()
            # An unchanged pair has no gap to close: a margin on it would be a constant that no gradient removes.
            gap = torch.where(counted, better - sampled, torch.zeros_like(better))
            if self.score == "frame-mean":
                # The margin is per frame in this form, so it is not divided.
                gap = gap / data.lengths.clamp(min=1)[:, None]
            hinge = torch.where(counted, (self.margin - gap).clamp(min=0), torch.zeros_like(gap))
            over_samples = hinge.mean(1) if self.reduction == "mean" else hinge.sum(1)  # [B]
            total = total + weight * (over_samples.sum() / max(len(hinge), 1))
            # One transfer from the device for all three numbers.
            pairs, changed = max(counted.numel(), 1), counted.sum()
            means = (gap.detach().sum() / changed.clamp(min=1), changed / pairs, (hinge > 0).sum() / pairs)
            names = (f"{name}.gap", f"{name}.changed", f"{name}.active")
            stats |= dict(zip(names, torch.stack(means).tolist(), strict=True))
        return TermLoss(total, stats)
