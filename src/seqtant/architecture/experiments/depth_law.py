"""Fits a depth law to losses: where a deeper network starts to win at equal size, and the line through these sizes.

Losses by size, depth and seed are read from a file or simulated from a known law. Each pair of neighboring depths has a
crossing, with the error that the scatter over seeds gives it; the line ln d = a + b L through them is the law.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from seqtant.architecture.config import Losses
from seqtant.architecture.theory import DepthLaw
from seqtant.errors import InconclusiveError, InputError, suggest
from seqtant.findings import Estimate
from seqtant.sources import is_path, read_lines, value_of
from seqtant.stats.fits import Fit, fit_line
from seqtant.stats.intervals import percentile

SLOPE = 0.02
"""Gain of the deeper network per e-fold of size in simulated losses, nats: invented, of the order seen in practice."""
SIMULATED_SIZES = np.geomspace(3e6, 3e9, 16)
"""Sizes of simulated losses: they bracket the transitions of the default depths."""
SIMULATED_SEEDS = 3
"""Seeds of simulated losses."""
LARGEST_LOSS_OF_DRAWS = 0.1
"""Largest share of draws in which a crossing may vanish before it counts as not resolved."""
COLUMNS = ("size", "depth", "loss", "seed", "embedding")
"""What is read of a row; the last two may be missing."""
GIVE = "a CSV with the columns size, depth, loss and seed"
FEWEST_CROSSINGS = 3
"""A line through two points fits always and says nothing."""


@dataclass(frozen=True)
class LossRow:
    """One trained network."""

    size: float
    """Non-embedding parameters N."""
    depth: int
    """Layers L."""
    seed: int
    """Seed; equal seeds of two depths are paired."""
    loss: float
    """Validation loss."""


def read_losses(source: Losses, *, embedding: str) -> list[LossRow]:
    """Reads losses by size and depth, and, if they are there, seed and embedding; other embeddings are left out.

    The source is a CSV file, as a sweep writes it or your own; or rows in memory, (size, depth, loss, seed, embedding).
    """
    named = f"'{source}'" if is_path(source) else "the table"
    rows: list[LossRow] = []
    kinds: set[str] = set()
    given: Any = source  # a mapping has become rows by now
    numbered = _read_csv(Path(source)) if is_path(source) else read_lines(given, give=GIVE, fields=COLUMNS)
    for place, row in numbered:
        for name in COLUMNS[:3]:
            value_of(row, name, place)
        kind = row.get("embedding")
        if kind not in (None, "", embedding):
            kinds.add(str(kind))
            continue
        try:
            found = LossRow(float(row["size"]), _whole(row["depth"]), _whole(row.get("seed") or 0), float(row["loss"]))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{place}: {error}: size and loss must be numbers, depth and seed whole numbers"
            ) from error
        if not (math.isfinite(found.loss) and math.isfinite(found.size) and found.size > 0 and found.depth > 0):
            raise InputError(
                f"{place}: size {found.size}, depth {found.depth}, loss {found.loss}: give finite numbers above 0"
            )
        rows.append(found)
    if not rows:
        raise InputError(f"{named} has no row with embedding '{embedding}': it has {sorted(kinds) or 'no rows'}")
    return rows


def _read_csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if not path.is_file():
        raise InputError(f"no file '{path}': give {GIVE}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            for name in COLUMNS[:3]:
                if name not in columns:
                    raise InputError(f"'{path}' has no column '{name}'{suggest(name, columns)}: it has {columns}")
            for number, row in enumerate(reader, start=2):
                yield f"'{path}', line {number}", row
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"'{path}' is not a CSV file: {error}") from error


def _whole(value: Any) -> int:
    if isinstance(value, str):
        return int(value)
    if int(value) != value:
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)


def simulate_losses(
    law: DepthLaw, depths: Sequence[int], *, spread: float, generator: np.random.Generator, pair_depth: str = "deep"
) -> list[LossRow]:
    """Simulates losses in which each deeper network starts to win exactly where a law says, plus seed-to-seed scatter.

    The gap of each pair is a straight line in ln N through zero at the pair's transition size, so that interpolation
    makes no error of its own. The scatter has the standard deviation ``spread``, nats; the law speaks of the ``deep``
    or the ``shallow`` depth of a pair.
    """
    rows: list[LossRow] = []
    for size in SIMULATED_SIZES:
        loss = 2.0 + 2.0 * (size / 1e6) ** -0.1
        for index, depth in enumerate(depths):
            if index:
                transition = law.transition_size(depth if pair_depth == "deep" else depths[index - 1])
                # The gap to the next shallower network, zero at the transition.
                loss -= SLOPE * math.log(size / transition)
            noise = spread * generator.normal(size=SIMULATED_SEEDS)
            rows += [LossRow(float(size), depth, seed, loss + float(noise[seed])) for seed in range(SIMULATED_SEEDS)]
    return rows


@dataclass(frozen=True)
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
            # Each size gives n - 1 degrees of freedom to the pairs of depths it was trained at.
            deviations = values - values.mean(axis=0)  # [n, depths here]
            products[np.ix_(here, here)] += deviations.T @ deviations
            degrees[np.ix_(here, here)] += len(values) - 1
        if not np.diag(degrees).all():
            return None
        pooled = np.divide(products, degrees, out=np.zeros_like(products), where=degrees > 0)
        # Pooled entry by entry it may have negative eigenvalues, which no covariance has.
        values, vectors = np.linalg.eigh(pooled)
        return (vectors * values.clip(min=0)) @ vectors.T

    def bootstrap_means(self, draws: int, generator: np.random.Generator) -> dict[tuple[float, int], np.ndarray] | None:
        """Samples mean losses as other seeds might have given them, [R] by size and depth; None without a scatter.

        A parametric bootstrap: normal, with the pooled covariance over the number of seeds. The depths of one size are
        drawn together, since equal seeds share their data and neighboring pairs share a depth.
        """
        covariance = self.seed_covariance()
        if covariance is None:
            return None
        values, vectors = np.linalg.eigh(covariance)
        # noise @ root has the pooled covariance: root^T root = V diag(values) V^T.
        root = (vectors * np.sqrt(values.clip(min=0))).T
        found: dict[tuple[float, int], np.ndarray] = {}
        for size in self.sizes:
            noise = generator.normal(size=(draws, len(self.depths))) @ root
            for index, depth in enumerate(self.depths):
                own = self.losses.get((size, depth))
                if own is not None:
                    found[size, depth] = own.mean() + noise[:, index] / math.sqrt(len(own))
        return found


def tabulate_losses(rows: Sequence[LossRow]) -> LossTable:
    """Orders losses by size, depth and seed; keeps the seeds that all depths of a size share."""
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
        # Only seeds that every depth of the size has: they share their data, which pairing takes away.
        shared = sorted(set.intersection(*(set(cell) for cell in own.values())))
        if not shared:
            raise InputError(f"the depths of size {size:g} share no seed: number the seeds of each depth alike")
        losses |= {(size, depth): np.array([cell[seed] for seed in shared]) for depth, cell in own.items()}
    return LossTable(losses)


def find_crossings(
    rows: Sequence[LossRow], *, draws: int, generator: np.random.Generator, pair_depth: str = "deep"
) -> tuple[list[Crossing], dict[tuple[int, int], str]]:
    """Finds the crossing of each pair of neighboring depths, interpolated in the logarithm of the size.

    For each pair without one that can be trusted it gives the reason.
    """
    table = tabulate_losses(rows)
    drawn = table.bootstrap_means(draws, generator)
    found: list[Crossing] = []
    missing: dict[tuple[int, int], str] = {}
    for shallow, deep in itertools.pairwise(table.depths):
        sizes = [size for size in table.sizes if (size, shallow) in table.losses and (size, deep) in table.losses]
        if len(sizes) < 2:
            missing[shallow, deep] = f"{len(sizes)} sizes in common, two are needed"
            continue
        logs = np.log(sizes)
        gaps = np.array([table.losses[size, shallow].mean() - table.losses[size, deep].mean() for size in sizes])
        place, changes = upward_crossing(logs, gaps[None])
        if changes[0] == 0:
            winner = "deep" if gaps[-1] > 0 else "shallow"
            missing[shallow, deep] = f"no crossing: the {winner} one wins at the largest size"
            continue
        value, every = math.exp(float(place[0])), None
        size = Estimate(value=value, method="log interpolation, one seed", unit="parameters")
        if drawn is not None:
            # The crossing of every draw of the bootstrap, [R]; NaN where a draw has none.
            every, _ = upward_crossing(logs, np.stack([drawn[n, shallow] - drawn[n, deep] for n in sizes], axis=1))
            lost = float(np.isnan(every).mean())
            if lost > LARGEST_LOSS_OF_DRAWS:
                reason = f"the crossing vanishes in {lost:.0%} of the draws: too close to the smallest or largest size"
                missing[shallow, deep] = reason
                continue
            # A few lost draws stand at the point estimate: draws stay aligned between pairs, which share depths.
            every = np.where(np.isnan(every), place[0], every)
            size = percentile(value, np.exp(every), method="parametric bootstrap over seeds", unit="parameters")
        depth = deep if pair_depth == "deep" else shallow
        found.append(Crossing(shallow, deep, depth, size, every, bool(changes[0] > 1)))
    return found, missing


def upward_crossing(
    places: Float[np.ndarray, " K"], gaps: Float[np.ndarray, "R K"]
) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]:
    """Finds where each row of gaps rises through zero (middle of first and last time, NaN for never), and how often."""
    left, right = gaps[:, :-1], gaps[:, 1:]
    rises = (left <= 0) & (right > 0)
    step = np.where(rises, right - left, 1.0)
    # Straight line between neighbors: zero at x_k - g_k (x_{k+1} - x_k) / (g_{k+1} - g_k).
    zeros = places[:-1] - left / step * np.diff(places)
    first = np.where(rises, zeros, np.inf).min(axis=1)
    last = np.where(rises, zeros, -np.inf).max(axis=1)
    times = rises.sum(axis=1)
    middle = np.full(len(gaps), np.nan)
    middle[times > 0] = (first[times > 0] + last[times > 0]) / 2
    return middle, times


@dataclass(frozen=True, kw_only=True)
class FittedLaw:
    """The line through the crossings."""

    fit: Fit
    """Weighted least squares; ``intercept`` is a, ``slope`` is b."""
    a: Estimate
    """Intercept, natural logarithm of a width."""
    b: Estimate
    """Slope per layer."""
    law: DepthLaw
    """The same with the covariance of (a, b): of the refitted draws, or of the fit where seeds do not scatter."""


def fit_law(crossings: Sequence[Crossing]) -> FittedLaw:
    """Fits ln d = a + b L through crossings, weighted by their errors where they have them.

    The points of neighboring pairs are correlated, since they share the losses of a depth. The weighted fit ignores
    that; the intervals and the covariance come from fitting every draw of the bootstrap anew, which does not.

    Raises:
        InconclusiveError: There are fewer than three crossings.
    """
    if len(crossings) < FEWEST_CROSSINGS:
        raise InconclusiveError(
            f"{len(crossings)} crossings are too few for a line: at least {FEWEST_CROSSINGS} pairs of depths must "
            "change places; train sizes further apart, more depths or more seeds"
        )
    depths = np.array([crossing.depth for crossing in crossings], dtype=np.float64)
    heights = [crossing.log_width for crossing in crossings]
    errors = np.array([crossing.log_width_error or np.nan for crossing in crossings])
    if np.isnan(errors).any():
        fit = fit_line(depths, heights)
        covariance, a, b = fit.covariance, fit.estimate("intercept"), fit.estimate("slope")
    else:
        fit = fit_line(depths, heights, errors=errors)
        # The weighted line of each draw of the bootstrap, [R, 2], by one pseudo-inverse for all.
        draws = np.stack([crossing.draws for crossing in crossings if crossing.draws is not None], axis=1)
        design = np.stack([np.ones_like(depths), depths], axis=1) / errors[:, None]
        lines = ((draws - np.log(12 * depths)) / 2 / errors) @ np.linalg.pinv(design).T
        covariance = np.cov(lines.T)
        a, b = (
            percentile(float(value), lines[:, index], method="refitted bootstrap over seeds", n=len(crossings))
            for index, value in enumerate(fit.parameters)
        )
    (var_a, cov_ab), (_, var_b) = covariance.tolist()
    return FittedLaw(fit=fit, a=a, b=b, law=DepthLaw(a=a.value, b=b.value, var_a=var_a, cov_ab=cov_ab, var_b=var_b))
