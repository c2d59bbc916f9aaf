"""Losses by size, depth and seed: read from a file, checked line by line, or simulated from a known law."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqtant.architecture.theory import DepthLaw
from seqtant.errors import InputError, suggest

SLOPE = 0.02
"""Gain of the deeper network per e-fold of size in simulated losses, nats: invented, of the order seen in practice."""
SIMULATED_SIZES = np.geomspace(3e6, 3e9, 16)
"""Sizes of simulated losses: they bracket the transitions of the default depths."""
SIMULATED_SEEDS = 3
"""Seeds of simulated losses."""


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


def read_losses(path: Path, *, embedding: str) -> list[LossRow]:
    """Reads a CSV file with the columns size, depth, loss and, if they are there, seed and embedding.

    Args:
        path: The file, as a sweep writes it or your own.
        embedding: Rows of another embedding are left out.

    Raises:
        InputError: The file is missing, lacks a column, holds no row, or a number of it makes no sense.
    """
    if not path.is_file():
        raise InputError(f"no file '{path}': give a CSV with the columns size, depth, loss and seed")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            for name in ("size", "depth", "loss"):
                if name not in columns:
                    raise InputError(f"'{path}' has no column '{name}'{suggest(name, columns)}: it has {columns}")
            numbered = list(enumerate(reader, start=2))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"'{path}' is not a CSV file: {error}") from error
    kinds = sorted({row["embedding"] for _, row in numbered if row.get("embedding")})
    kept = [_row(path, number, row) for number, row in numbered if row.get("embedding") in (None, "", embedding)]
    if not kept:
        raise InputError(f"'{path}' has no row with embedding '{embedding}': it has {kinds or 'no rows'}")
    return kept


def _row(path: Path, number: int, row: dict[str, str]) -> LossRow:
    place = f"'{path}', line {number}"
    try:
        found = LossRow(float(row["size"]), int(row["depth"]), int(row.get("seed") or 0), float(row["loss"]))
    except (TypeError, ValueError) as error:
        raise InputError(f"{place}: {error}: size and loss must be numbers, depth and seed whole numbers") from error
    if not (math.isfinite(found.loss) and math.isfinite(found.size) and found.size > 0 and found.depth > 0):
        raise InputError(
            f"{place}: size {found.size}, depth {found.depth}, loss {found.loss}: give finite numbers above 0"
        )
    return found


def simulate_losses(
    law: DepthLaw,
    depths: Iterable[int],
    *,
    spread: float,
    generator: np.random.Generator,
    pair_depth: str = "deep",
) -> list[LossRow]:
    """Losses in which each deeper network starts to win exactly where a law says, plus seed-to-seed scatter.

    The gap of each pair is a straight line in ln N through zero at the pair's transition size, so that interpolation
    makes no error of its own.

    Args:
        law: The law to find again.
        depths: Depths, rising.
        spread: Standard deviation of a loss over seeds, nats.
        generator: Source of the scatter.
        pair_depth: Which depth of a pair the law speaks of: ``deep`` or ``shallow``.
    """
    levels = list(depths)
    rows: list[LossRow] = []
    for size in SIMULATED_SIZES:
        loss = 2.0 + 2.0 * (size / 1e6) ** -0.1
        for index, depth in enumerate(levels):
            if index:
                transition = law.transition_size(depth if pair_depth == "deep" else levels[index - 1])
                loss -= SLOPE * math.log(size / transition)
            noise = spread * generator.normal(size=SIMULATED_SEEDS)
            rows += [LossRow(float(size), depth, seed, loss + float(noise[seed])) for seed in range(SIMULATED_SEEDS)]
    return rows
