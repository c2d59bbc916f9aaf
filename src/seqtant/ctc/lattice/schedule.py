"""A weight that changes over training: a number, or points in time with a ramp between them."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from seqtant.errors import InputError

Ramp = Literal["step", "linear", "cosine", "logarithmic"]


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
        """A schedule as it is, a number as a constant."""
        return weight if isinstance(weight, Schedule) else cls(((0, float(weight)),))

    def at(self, step: int) -> float:
        """Weight at a training step."""
        after = bisect_right([point for point, _ in self.points], step)
        if after == 0:
            return 0.0
        start, low = self.points[after - 1]
        if after == len(self.points) or self.ramp == "step":
            return low
        end, high = self.points[after]
        share = (step - start) / (end - start)
        if self.ramp == "logarithmic":
            return low * (high / low) ** share
        if self.ramp == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        return low + (high - low) * share
