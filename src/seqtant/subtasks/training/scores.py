"""Solutions held against the truth: per step, as a chain, by first error, and what teacher forcing would predict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from seqtant.findings import Estimate
from seqtant.stats.intervals import share


@dataclass(frozen=True)
class Scores:
    """Which written pieces of which rows are right."""

    right: Bool[np.ndarray, "rows pieces"]
    """Whether each written piece is the true one."""
    answer: Bool[np.ndarray, " rows"]
    """Whether the whole answer is right."""
    there: Bool[np.ndarray, "rows pieces"] | None = None
    """Which pieces a row has at all; None where all rows have all."""

    @property
    def present(self) -> Bool[np.ndarray, "rows pieces"]:
        """Which pieces a row has."""
        return np.ones_like(self.right) if self.there is None else self.there

    @property
    def per_step(self) -> Float[np.ndarray, " pieces"]:
        """Share of rows in which each piece is right, among those that have it."""
        return (self.right & self.present).sum(axis=0) / np.maximum(self.present.sum(axis=0), 1)

    def step(self, piece: int) -> Estimate:
        """Accuracy of one piece with its binomial interval."""
        has = self.present[:, piece]
        return share(int((self.right[:, piece] & has).sum()), int(has.sum()))

    @property
    def answer_accuracy(self) -> Estimate:
        """Share of right answers."""
        return share(int(self.answer.sum()), len(self.answer))

    @property
    def chain(self) -> Bool[np.ndarray, " rows"]:
        """Rows in which every piece is right."""
        return np.all(self.right | ~self.present, axis=1)

    @property
    def chain_accuracy(self) -> Estimate:
        """Share of rows without any error."""
        return share(int(self.chain.sum()), len(self.answer))

    @property
    def first_errors(self) -> list[int]:
        """Number of rows whose first wrong piece is this one; the last entry counts rows without an error."""
        wrong = self.present & ~self.right
        first = np.where(wrong.any(axis=1), wrong.argmax(axis=1), self.right.shape[1])
        return np.bincount(first, minlength=self.right.shape[1] + 1).tolist()
