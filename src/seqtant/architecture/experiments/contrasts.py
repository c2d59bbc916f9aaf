"""Shallow against deep, seed by seed: gaps at equal size, and how much a limited rank moves them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqtant.architecture.config import EmbeddingKind
from seqtant.architecture.experiments.grid import Outcome, Shape
from seqtant.findings import Estimate
from seqtant.stats.intervals import mean

UNIT = "nats"


@dataclass(frozen=True)
class Gap:
    """Loss of the shallow net minus that of the deep one, at one size and embedding; positive: the deep one wins."""

    shallow: Shape
    """The shallower shape."""
    deep: Shape
    """The deeper shape."""
    embedding: EmbeddingKind
    """Kind of the input embedding of both."""
    seeds: tuple[int, ...]
    """Seeds, in order."""
    differences: tuple[float, ...]
    """One difference per seed: same data order, same initial draw."""

    @property
    def estimate(self) -> Estimate:
        """Mean over seeds with Student's interval."""
        return mean(self.differences, unit=UNIT)

    def minus(self, other: Gap) -> Estimate:
        """Difference of two gaps at the same shapes, paired by seed."""
        return mean(np.subtract(self.differences, other.differences), unit=UNIT)


def gaps(outcomes: Sequence[Outcome]) -> list[Gap]:
    """The gap of each pair of neighboring depths, by size and embedding."""
    losses = {(o.run.cell.shape, o.run.cell.embedding, o.run.seed): o.loss for o in outcomes}
    shapes = dict.fromkeys(o.run.cell.shape for o in outcomes)
    embeddings: dict[EmbeddingKind, None] = dict.fromkeys(o.run.cell.embedding for o in outcomes)
    seeds = tuple(sorted({o.run.seed for o in outcomes}))
    found: list[Gap] = []
    for size in dict.fromkeys(shape.size for shape in shapes):
        here = sorted((shape for shape in shapes if shape.size == size), key=lambda shape: shape.depth)
        for (shallow, deep), embedding in itertools.product(itertools.pairwise(here), embeddings):
            differences = tuple(losses[shallow, embedding, s] - losses[deep, embedding, s] for s in seeds)
            found.append(Gap(shallow, deep, embedding, seeds, differences))
    return found
