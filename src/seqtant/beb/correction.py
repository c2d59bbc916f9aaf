"""Corrects a scorer's mean for its own errors, and carries the uncertainty of those errors along."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from seqtant.errors import InputError


@dataclass(frozen=True)
class ScorerCheck:
    """How a binary scorer did on answers that people judged.

    Example:
        >>> check = ScorerCheck(90, 100, 95, 100)
        >>> round(float(check.corrected(np.array([0.0]))[0]), 4)
        -0.0588
    """

    bad_found: int
    """Bad answers that the scorer called bad."""
    bad: int
    """Bad answers."""
    good_found: int
    """Good answers that the scorer called good."""
    good: int
    """Good answers."""

    @property
    def sensitivity(self) -> float:
        """Share of bad answers that are found."""
        return self.bad_found / self.bad

    @property
    def specificity(self) -> float:
        """Share of good answers that are passed."""
        return self.good_found / self.good

    def corrected(
        self, scores: Float[np.ndarray, ...], sensitivity: float | None = None, specificity: float | None = None
    ) -> Float[np.ndarray, ...]:
        """The true mean behind a mean score (Rogan and Gladen, 1978), kept inside -1 to 1.

        The scorer's mean is s q - (1 - q) b with the errors mixed in; solving for q needs sensitivity plus specificity
        above 1.

        Args:
            scores: Mean scores on the scale from -1 to 1.
            sensitivity: By default the observed one.
            specificity: By default the observed one.

        Raises:
            InputError: The scorer is no better than chance.
        """
        hits = self.sensitivity if sensitivity is None else sensitivity
        passes = self.specificity if specificity is None else specificity
        gain = hits + passes - 1
        if gain <= 0:
            raise InputError(
                f"a scorer of sensitivity {hits:.2f} and specificity {passes:.2f} is no better than chance: use another"
            )
        called_bad = (1 - np.asarray(scores)) / 2
        true_bad = (called_bad - (1 - passes)) / gain
        return np.clip(1 - 2 * true_bad, -1.0, 1.0)

    def draws(self, count: int, generator: np.random.Generator) -> Float[np.ndarray, "draws 2"]:
        """Sensitivities and specificities that the check leaves possible: Jeffreys posterior draws, better than chance.

        Args:
            count: Number of draws.
            generator: Source of chance.
        """
        made = np.stack(
            [
                generator.beta(self.bad_found + 0.5, self.bad - self.bad_found + 0.5, count),
                generator.beta(self.good_found + 0.5, self.good - self.good_found + 0.5, count),
            ],
            axis=1,
        )
        poor = made.sum(axis=1) <= 1
        made[poor] = (self.sensitivity, self.specificity)
        return made
