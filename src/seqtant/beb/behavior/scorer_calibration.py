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
        """The true mean behind a mean score (Rogan and Gladen, 1978).

        The share called bad is sensitivity q + (1 - specificity)(1 - q), where q is the share that is bad; solving for
        q needs sensitivity plus specificity above 1. The correction is linear, so it may be made before or after scores
        are averaged; what it makes of few answers may lie beyond -1 and 1, and cutting that off would bias averages.

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
        return 1 - 2 * true_bad

    def corrected_anew(
        self, scores: Float[np.ndarray, ...], sensitivity: float, specificity: float
    ) -> Float[np.ndarray, ...]:
        """Scores that were corrected with the observed rates, as other rates would have corrected them.

        Args:
            scores: What :meth:`corrected` gave with the observed rates.
            sensitivity: Another sensitivity.
            specificity: Another specificity.

        Example:
            >>> check = ScorerCheck(90, 100, 95, 100)
            >>> raw = np.array([0.25])
            >>> bool(np.isclose(check.corrected_anew(check.corrected(raw), 0.8, 0.9), check.corrected(raw, 0.8, 0.9)))
            True
        """
        gain = self.sensitivity + self.specificity - 1
        called_bad = gain * (1 - np.asarray(scores)) / 2 + 1 - self.specificity
        return self.corrected(1 - 2 * called_bad, sensitivity, specificity)

    def draws(self, count: int, generator: np.random.Generator) -> Float[np.ndarray, "draws 2"]:
        """Sensitivities and specificities that the check leaves possible: Jeffreys posterior draws, better than chance.

        Args:
            count: Number of draws.
            generator: Source of chance.
        """
        hits = self.bad_found + 0.5, self.bad - self.bad_found + 0.5
        passes = self.good_found + 0.5, self.good - self.good_found + 0.5
        made = np.zeros((count, 2))
        while (poor := made.sum(axis=1) <= 1).any():
            missing = int(poor.sum())
            made[poor] = np.stack([generator.beta(*hits, missing), generator.beta(*passes, missing)], axis=1)
        return made
