"""The interface of every CTC loss here, plain CTC, and what a training run minimizes: a sum of terms with schedules."""

from __future__ import annotations

import math
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.ctc.lattice.likelihood import ctc_losses
from seqtant.ctc.lattice.paths import CTCInput
from seqtant.errors import InputError

Ramp = Literal["step", "linear", "cosine", "logarithmic"]


class TermLoss(NamedTuple):
    """A loss, already weighted and averaged over the batch, and what it did."""

    loss: Float[Tensor, ""]
    stats: dict[str, float]


class LossTerm(torch.nn.Module):
    """A CTC training loss, called as ``torch.nn.CTCLoss`` is: ``loss = term(log_probs, targets, input_lengths, ...)``.

    Args:
        blank: Index of the blank; negative counts from the end.
        batch_first: Whether inputs are (B, T, V) or, as for ``torch.nn.CTCLoss``, (T, B, V).

    Attributes:
        stats: What the newest call did, by name; empty before the first.
    """

    def __init__(self, *, blank: int = 0, batch_first: bool = False) -> None:
        super().__init__()
        self.blank, self.batch_first = blank, batch_first
        self.stats: dict[str, float] = {}

    def forward(
        self,
        log_probs: Float[Tensor, "*batch V"],
        targets: Int[Tensor, "*tokens"] | None,
        input_lengths: Int[Tensor, "*B"] | Sequence[int] | int,
        target_lengths: Int[Tensor, "*B"] | Sequence[int] | int | None = None,
        *,
        generator: torch.Generator | None = None,
        step: int = 0,
    ) -> Float[Tensor, ""]:
        """Computes the loss of one batch; :attr:`stats` then says what it did.

        Args:
            log_probs: Output of ``log_softmax``: (T, B, V), or (T, V) for one utterance; (B, T, V) with
                ``batch_first=True``.
            targets: Reference labels, (B, U) or concatenated; None where a loss needs none.
            input_lengths: Model frames per utterance.
            target_lengths: Reference tokens per utterance; None without targets.
            generator: Source of randomness, on the device of ``log_probs``.
            step: Training step, for schedules.

        Returns:
            The loss, weighted and averaged over the batch.
        """
        if log_probs.ndim == 2:
            # One utterance without a batch, as torch.nn.CTCLoss takes it; its target is a row of labels already.
            log_probs = log_probs.unsqueeze(0 if self.batch_first else 1)
            input_lengths = torch.as_tensor(input_lengths).reshape(-1)
            target_lengths = None if target_lengths is None else torch.as_tensor(target_lengths).reshape(-1)
        data = CTCInput.of(
            log_probs, input_lengths, targets, target_lengths, blank=self.blank, batch_first=self.batch_first
        )
        loss, self.stats = self.compute(data, generator=generator, step=step)
        return loss

    @abstractmethod
    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Computes loss and statistics of one checked batch, without keeping them."""


class PlainCTC(LossTerm):
    """CTC: the negative log-likelihood of the target, summed over tokens, averaged over utterances.

    PyTorch's ``reduction="mean"`` divides by the target length instead: weights of other terms do not carry over.

    Example:
        >>> half, one = torch.full((2, 1, 2), 0.5).log(), torch.tensor([1])
        >>> PlainCTC()(half, torch.tensor([[1]]), one + 1, one)
        tensor(0.2877)
    """

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Mean over the batch; utterances too short for their target count as 0 and are reported."""
        losses = ctc_losses(data)
        return TermLoss(batch_mean(losses), {"ctc.impossible": fraction(~data.possible)})


def batch_mean(losses: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    """Averages over the utterances; 0 for an empty batch."""
    return losses.sum() / max(len(losses), 1)


def fraction(flags: Tensor) -> float:
    """Computes the fraction of true flags; 0 for none.

    Example:
        >>> fraction(torch.tensor([True, False]))
        0.5
    """
    return float(flags.float().mean()) if flags.numel() else 0.0


@dataclass(frozen=True)
class Schedule:
    """A weight as a function of the training step.

    Args:
        points: (step, weight) in rising order of steps; before the first the weight is 0, after the last it stays.
        ramp: How the weight moves between points: ``step`` holds it until the next, ``linear``, ``cosine`` (slow at
            both ends), ``logarithmic`` (equal factors per step; both weights above 0).

    Raises:
        InputError: No points, steps that do not rise, or weights that are negative or not finite.

    Example:
        >>> rising = Schedule(((100, 0.0), (200, 0.4)), ramp="linear")
        >>> [rising.at(step) for step in (0, 100, 150, 500)]
        [0.0, 0.0, 0.2, 0.4]
    """

    points: tuple[tuple[int, float], ...] = ((0, 1.0),)
    ramp: Ramp = "linear"

    def __post_init__(self) -> None:
        steps = [step for step, _ in self.points]
        weights = [weight for _, weight in self.points]
        if not steps or any(later <= earlier for earlier, later in pairwise(steps)):
            raise InputError(f"schedule steps are {steps}: give at least one, in rising order")
        if any(not math.isfinite(weight) or weight < 0 for weight in weights):
            raise InputError(f"schedule weights are {weights}: each must be finite and 0 or more")
        if self.ramp == "logarithmic" and not all(weights):
            raise InputError("a logarithmic ramp multiplies: every weight must be above 0")

    @classmethod
    def of(cls, weight: float | Schedule) -> Schedule:
        """Returns a schedule as it is, a number as a constant schedule."""
        return weight if isinstance(weight, Schedule) else cls(((0, float(weight)),))

    def at(self, step: int) -> float:
        """Returns the weight at a training step."""
        # Index of the first point behind the step: the weight lies between it and the one before.
        after = bisect_right([point for point, _ in self.points], step)
        if after == 0:
            return 0.0
        start, low = self.points[after - 1]
        if after == len(self.points) or self.ramp == "step":
            return low
        end, high = self.points[after]
        fraction = (step - start) / (end - start)
        if self.ramp == "logarithmic":
            return low * (high / low) ** fraction
        if self.ramp == "cosine":
            fraction = (1 - math.cos(math.pi * fraction)) / 2
        return low + (high - low) * fraction


@dataclass(frozen=True)
class TrimTail:
    """Cuts a random number of feature frames off the end of each utterance; the targets stay.

    A model then learns to finish before the sound does.

    ``t ~ U{1..most}``, and nothing is cut where ``t`` is half the utterance or more. Source: arXiv 2211.00522.

    Args:
        most: Largest number of feature frames to cut; 0 cuts nothing.

    Example:
        >>> TrimTail(5)(torch.tensor([100, 4]), torch.Generator().manual_seed(0)).tolist()
        [95, 4]
    """

    most: int

    def __post_init__(self) -> None:
        if self.most < 0:
            raise InputError(f"most is {self.most}: TrimTail cuts 0 or more feature frames")

    def __call__(self, lengths: Int[Tensor, " B"], generator: torch.Generator | None = None) -> Int[Tensor, " B"]:
        """Returns the shortened lengths; features beyond them are padding from now on."""
        if not self.most:
            return lengths
        # Drawn for all, also for those that are then left alone: the others must not depend on them.
        cut = torch.randint(1, self.most + 1, lengths.shape, generator=generator, device=lengths.device)
        return torch.where(2 * cut < lengths, lengths - cut, lengths)


class Objective(LossTerm):
    """A sum of loss terms over one checked batch.

    Args:
        terms: CTC or a replacement, and what is added to it; all with the same blank.
        trim: What TrimTail cuts from the input.

    Example:
        >>> half, one = torch.full((2, 1, 2), 0.5).log(), torch.tensor([1])
        >>> Objective([PlainCTC()])(half, torch.tensor([[1]]), one + 1, one)
        tensor(0.2877)
    """

    def __init__(self, terms: Sequence[LossTerm], *, trim: TrimTail | None = None) -> None:
        super().__init__(blank=terms[0].blank, batch_first=terms[0].batch_first)
        self.terms = tuple(terms)
        # Terms with buffers (a running prior) must move with the objective.
        self.registered = torch.nn.ModuleList(terms)
        self.trim = trim or TrimTail(0)

    def compute(self, data: CTCInput, *, generator: torch.Generator | None, step: int) -> TermLoss:
        """Adds the terms up; their statistics keep their names."""
        results = [term.compute(data, generator=generator, step=step) for term in self.terms]
        # Not sum(): it starts from 0, and a single term must pass through to the bit.
        total = results[0].loss
        for result in results[1:]:
            total = total + result.loss
        return TermLoss(total, {name: value for result in results for name, value in result.stats.items()})
