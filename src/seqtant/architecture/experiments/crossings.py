"""Where a deeper network starts to win at equal size, with the error that the scatter over seeds gives it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from seqtant.architecture.experiments.losses_table import LossRow
from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.stats.bootstrap import percentile

LARGEST_LOSS_OF_DRAWS = 0.1
"""Largest share of draws in which a crossing may vanish before it counts as not resolved."""


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """The size at which the deeper network of a pair starts to win."""

    shallow: int
    """Layers of the shallower network."""
    deep: int
    """Layers of the deeper network."""
    depth: int
    """The depth that stands for the pair in a fit."""
    size: Estimate
    """Crossing size N, with an interval if any size was trained with two seeds or more."""
    draws: Float[np.ndarray, " R"] | None
    """Logarithm of the crossing size in each draw of the bootstrap; None without a scatter over seeds."""
    ambiguous: bool
    """Whether the gap changes sign upwards more than once: then the middle of the first and last change is taken."""

    @property
    def log_width(self) -> float:
        """Natural logarithm of the width d = sqrt(N / 12 L) at the crossing."""
        return math.log(self.size.value / (12 * self.depth)) / 2

    @property
    def log_width_error(self) -> float | None:
        """Its standard error."""
        return None if self.draws is None else float(self.draws.std(ddof=1)) / 2


@dataclass(frozen=True, kw_only=True)
class Unresolved:
    """A pair of depths without a crossing that can be trusted."""

    shallow: int
    """Layers of the shallower network."""
    deep: int
    """Layers of the deeper network."""
    reason: str
    """Why there is none."""


@dataclass(frozen=True)
class LossTable:
    """Losses by size and depth, with the seeds of each size in the same order for all its depths."""

    losses: dict[tuple[float, int], np.ndarray]
    """Losses of a size and depth, one per seed that all depths of the size share, [n]."""

    @property
    def sizes(self) -> list[float]:
        """Sizes, rising."""
        return sorted({size for size, _ in self.losses})

    @property
    def depths(self) -> list[int]:
        """Depths, rising."""
        return sorted({depth for _, depth in self.losses})

    def seed_covariance(self) -> Float[np.ndarray, "D D"] | None:
        """Covariance of the losses of all depths over seeds, pooled over sizes; None if no size has two seeds.

        Pooling is what makes two or three seeds enough: each size alone would misjudge its own scatter by half.
        """
        depths = self.depths
        products = np.zeros((len(depths), len(depths)))
        degrees = np.zeros_like(products)
        for size in self.sizes:
            here = [index for index, depth in enumerate(depths) if (size, depth) in self.losses]
            values = np.stack([self.losses[size, depths[index]] for index in here], axis=1)
            deviations = values - values.mean(axis=0)
            products[np.ix_(here, here)] += deviations.T @ deviations
            degrees[np.ix_(here, here)] += len(values) - 1
        if not np.diag(degrees).all():
            return None
        pooled = np.divide(products, degrees, out=np.zeros_like(products), where=degrees > 0)
        values, vectors = np.linalg.eigh(pooled)
        return (vectors * values.clip(min=0)) @ vectors.T

    def drawn_means(self, draws: int, generator: np.random.Generator) -> dict[tuple[float, int], np.ndarray] | None:
        """Mean losses as other seeds might have given them, [R] by size and depth; None without a scatter.

        A parametric bootstrap: normal, with the pooled covariance over the number of seeds. The depths of one size are
        drawn together, since equal seeds share their data and neighboring pairs share a depth.
        """
        covariance = self.seed_covariance()
        if covariance is None:
            return None
        values, vectors = np.linalg.eigh(covariance)
        root = (vectors * np.sqrt(values.clip(min=0))).T
        found: dict[tuple[float, int], np.ndarray] = {}
        for size in self.sizes:
            noise = generator.normal(size=(draws, len(self.depths))) @ root
            for index, depth in enumerate(self.depths):
                own = self.losses.get((size, depth))
                if own is not None:
                    found[size, depth] = own.mean() + noise[:, index] / math.sqrt(len(own))
        return found


def loss_table(rows: Sequence[LossRow]) -> LossTable:
    """Orders losses by size, depth and seed.

    Raises:
        InputError: A network is there twice, or the depths of a size share no seed.
    """
    cells: dict[tuple[float, int], dict[int, float]] = {}
    for row in rows:
        cell = cells.setdefault((row.size, row.depth), {})
        if row.seed in cell:
            raise InputError(
                f"size {row.size:g}, depth {row.depth}, seed {row.seed} is there twice: keep one, or number the seeds"
            )
        cell[row.seed] = row.loss
    losses: dict[tuple[float, int], np.ndarray] = {}
    for size in {size for size, _ in cells}:
        own = {depth: cell for (other, depth), cell in cells.items() if other == size}
        shared = sorted(set.intersection(*(set(cell) for cell in own.values())))
        if not shared:
            raise InputError(f"the depths of size {size:g} share no seed: number the seeds of each depth alike")
        losses |= {(size, depth): np.array([cell[seed] for seed in shared]) for depth, cell in own.items()}
    return LossTable(losses)


def find_crossings(
    rows: Sequence[LossRow], *, draws: int, generator: np.random.Generator, pair_depth: str = "deep"
) -> tuple[list[Crossing], list[Unresolved]]:
    """The crossing of each pair of neighboring depths, interpolated in the logarithm of the size.

    Args:
        rows: Trained networks.
        draws: Number of draws R of the bootstrap over seeds.
        generator: Their source.
        pair_depth: Which depth stands for a pair: ``deep`` or ``shallow``.

    Raises:
        InputError: A network is there twice, or the depths of a size share no seed.

    Example:
        >>> rows = [LossRow(size, 6, 0, 3.0) for size in (1e6, 1e7, 1e8)]
        >>> rows += [LossRow(1e6, 12, 0, 3.1), LossRow(1e7, 12, 0, 3.0), LossRow(1e8, 12, 0, 2.9)]
        >>> (crossing,), _ = find_crossings(rows, draws=100, generator=np.random.default_rng(0))
        >>> round(math.log10(crossing.size.value), 6)
        7.0
    """
    table = loss_table(rows)
    drawn = table.drawn_means(draws, generator)
    found: list[Crossing] = []
    missing: list[Unresolved] = []
    for shallow, deep in itertools.pairwise(table.depths):
        each = _crossing(table, drawn, shallow, deep, pair_depth)
        if isinstance(each, Crossing):
            found.append(each)
        else:
            missing.append(each)
    return found, missing


def _crossing(
    table: LossTable,
    drawn: dict[tuple[float, int], np.ndarray] | None,
    shallow: int,
    deep: int,
    pair_depth: str,
) -> Crossing | Unresolved:
    sizes = [size for size in table.sizes if (size, shallow) in table.losses and (size, deep) in table.losses]
    if len(sizes) < 2:
        return Unresolved(shallow=shallow, deep=deep, reason=f"{len(sizes)} sizes in common, two are needed")
    logs = np.log(sizes)
    gaps = np.array([table.losses[size, shallow].mean() - table.losses[size, deep].mean() for size in sizes])
    place, changes = upward_crossing(logs, gaps[None])
    if changes[0] == 0:
        winner = "deep" if gaps[-1] > 0 else "shallow"
        return Unresolved(shallow=shallow, deep=deep, reason=f"no crossing: the {winner} one wins at the largest size")
    every = None
    if drawn is not None:
        columns = [drawn[size, shallow] - drawn[size, deep] for size in sizes]
        every, _ = upward_crossing(logs, np.stack(columns, axis=1))
        lost = float(np.isnan(every).mean())
        if lost > LARGEST_LOSS_OF_DRAWS:
            reason = f"the crossing vanishes in {lost:.0%} of the draws: too close to the smallest or largest size"
            return Unresolved(shallow=shallow, deep=deep, reason=reason)
        every = every[~np.isnan(every)] if lost == 0 else np.where(np.isnan(every), place[0], every)
    return Crossing(
        shallow=shallow,
        deep=deep,
        depth=deep if pair_depth == "deep" else shallow,
        size=_size(float(place[0]), every),
        draws=every,
        ambiguous=bool(changes[0] > 1),
    )


def upward_crossing(
    places: Float[np.ndarray, " K"], gaps: Float[np.ndarray, "R K"]
) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]:
    """Where each row of gaps rises through zero (the middle of the first and last time, NaN for never), and how often.

    Example:
        >>> upward_crossing(np.array([0.0, 1.0, 2.0]), np.array([[-1.0, 1.0, 3.0], [1.0, 2.0, 3.0]]))[0].tolist()
        [0.5, nan]
    """
    left, right = gaps[:, :-1], gaps[:, 1:]
    rises = (left <= 0) & (right > 0)
    step = np.where(rises, right - left, 1.0)
    zeros = places[:-1] - left / step * np.diff(places)
    first = np.where(rises, zeros, np.inf).min(axis=1)
    last = np.where(rises, zeros, -np.inf).max(axis=1)
    times = rises.sum(axis=1)
    middle = np.full(len(gaps), np.nan)
    middle[times > 0] = (first[times > 0] + last[times > 0]) / 2
    return middle, times


def _size(place: float, draws: np.ndarray | None) -> Estimate:
    if draws is None:
        return Estimate(value=math.exp(place), method="log interpolation, one seed", unit="parameters")
    return percentile(math.exp(place), np.exp(draws), method="parametric bootstrap over seeds", unit="parameters")
