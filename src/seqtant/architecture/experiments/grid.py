"""Trains networks of equal size and different depth, and compares shallow with deep, seed by seed."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from seqtant.architecture.config import EmbeddingKind
from seqtant.data.corpus import Corpus
from seqtant.data.tokens import TokenWindows, spread_windows
from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.models.decoder_config import DecoderConfig
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Context
from seqtant.stats.intervals import mean
from seqtant.training.config import TrainingConfig

LARGEST_MISMATCH = 0.1
"""Largest relative difference between the size of a shape and the size it stands for."""


@dataclass(frozen=True)
class GridShape:
    """One depth at one size."""

    size: float
    """The size it stands for, non-embedding parameters."""
    depth: int
    """Layers."""
    width: int
    """Width: the multiple of the head size or number of heads that comes nearest to sqrt(size / 12 depth)."""

    @property
    def matrix_parameters(self) -> int:
        """12 L d^2, what the size counts."""
        return 12 * self.depth * self.width**2


@dataclass(frozen=True)
class Cell:
    """One network to train, but for seed and learning rate."""

    shape: GridShape
    embedding: EmbeddingKind
    """``plain``, ``control`` (factorized, full rank: the control of a rank test) or a rank."""

    def __str__(self) -> str:
        kind = f"rank {self.embedding}" if isinstance(self.embedding, int) else self.embedding
        return f"{self.shape.depth} x {self.shape.width}, {kind}"


@dataclass(frozen=True)
class Run:
    """One training run, with everything that decides its outcome besides the corpus."""

    cell: Cell
    network: DecoderConfig
    """The cell's network on the corpus's vocabulary."""
    training: TrainingConfig
    """Learning rate, steps and the rest."""
    rows: int
    """Windows per step."""
    validation_windows: int
    """Windows on which the loss is measured."""
    seed: int
    """Seed of weights and data order; runs of equal seed see the same batches."""


@dataclass(frozen=True)
class Outcome:
    """What came out of one run."""

    run: Run
    loss: float
    """Validation loss, nats per token."""
    bits_per_byte: float
    """The same in bits per byte of text."""
    training_loss: float
    """Mean training loss of the last tenth of the steps."""
    parameters: int
    """All parameters of the network."""
    seconds: float


def cells(
    sizes: Sequence[float], depths: Sequence[int], embeddings: Sequence[EmbeddingKind], *, multiple_of: int
) -> list[Cell]:
    """Makes every shape with every embedding, by size and depth; widths are multiples of ``multiple_of``.

    Example:
        >>> [(c.shape.depth, c.shape.width) for c in cells((2.2e5,), (2, 8), ("plain",), multiple_of=4)]
        [(2, 96), (8, 48)]
    """
    found: list[Cell] = []
    for size, depth in itertools.product(sizes, depths):
        # The multiple nearest to the d of size = 12 L d^2.
        width = max(round((size / (12 * depth)) ** 0.5 / multiple_of), 1) * multiple_of
        shape = GridShape(size, depth, width)
        if abs(shape.matrix_parameters / size - 1) > LARGEST_MISMATCH:
            raise InputError(
                f"no width that {multiple_of} divides gives {depth} layers about {size:g} parameters "
                f"(nearest: width {width}, {shape.matrix_parameters}): choose another size, heads or head_size"
            )
        found += [Cell(shape, embedding) for embedding in embeddings]
    for cell in found:
        if isinstance(cell.embedding, int) and cell.embedding >= cell.shape.width:
            raise InputError(
                f"rank {cell.embedding} does not limit a width of {cell.shape.width}: use a smaller rank, or 'control'"
            )
    return found


def find_or_train(run: Run, corpus: Corpus, context: Context) -> Outcome:
    """Takes the outcome of a run from ``cells`` in the context's folder, or trains and leaves it there."""
    if context.folder is None:
        return _train(run, corpus, context)
    # Everything that decides the outcome goes into the name, so that another setting is another file.
    described = {
        **asdict(run.network),
        **asdict(run.training),
        "rows": run.rows,
        "validation_windows": run.validation_windows,
        "seed": run.seed,
        "corpus": corpus.fingerprint,
    }
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:8]
    shape, rate = run.cell.shape, run.training.learning_rate
    name = f"L{shape.depth}-d{shape.width}-{run.cell.embedding}-lr{rate:g}-seed{run.seed}-{digest}.json"
    path = context.folder / "cells" / name
    if path.is_file():
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            del data["run"]
            return Outcome(run=run, **data)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"'{path}' cannot be read: delete it to train that network again") from error
    outcome = _train(run, corpus, replace(context, folder=None))
    numbers = {key: value for key, value in vars(outcome).items() if key != "run"}
    write_text(path, json.dumps({"run": described} | numbers, indent=1))
    return outcome


def _train(run: Run, corpus: Corpus, context: Context) -> Outcome:
    import time

    import torch

    from seqtant.models.decoder import Decoder
    from seqtant.training import mean_loss, train

    started = time.perf_counter()
    length = run.network.context
    model = Decoder(run.network, generator=torch.Generator().manual_seed(run.seed))
    source = TokenWindows(corpus.train, length=length, rows=run.rows, seed=run.seed, name=corpus.fingerprint)
    history = train(model, source, run.training, context=replace(context, seed=run.seed, folder=None))
    held_out = spread_windows(corpus.validation, length=length, most=run.validation_windows)
    loss = mean_loss(model, {"input_ids": held_out})
    last = history.losses[-max(run.training.steps // 10, 1) :]
    return Outcome(
        run=run,
        loss=loss,
        bits_per_byte=corpus.bits_per_byte(loss),
        training_loss=sum(last) / len(last),
        parameters=run.network.parameters,
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True)
class Gap:
    """Loss of the shallow net minus that of the deep one, at one size and embedding; positive: the deep one wins."""

    shallow: GridShape
    deep: GridShape
    embedding: EmbeddingKind
    """Kind of the input embedding of both."""
    seeds: tuple[int, ...]
    """Seeds, in order."""
    differences: tuple[float, ...]
    """One difference per seed: same data order, same initial weights."""

    @property
    def estimate(self) -> Estimate:
        """Mean over seeds with Student's interval."""
        return mean(self.differences, unit="nats")

    def minus(self, other: Gap) -> Estimate:
        """Difference of two gaps at the same shapes, paired by seed."""
        return mean(np.subtract(self.differences, other.differences), unit="nats")


def gaps(outcomes: Sequence[Outcome]) -> list[Gap]:
    """Compares each pair of neighboring depths, by size and embedding."""
    # Every shape has every embedding and seed, so that all differences below exist.
    losses = {(o.run.cell.shape, o.run.cell.embedding, o.run.seed): o.loss for o in outcomes}
    shapes = dict.fromkeys(o.run.cell.shape for o in outcomes)
    embeddings: dict[EmbeddingKind, None] = dict.fromkeys(o.run.cell.embedding for o in outcomes)
    seeds = tuple(sorted({o.run.seed for o in outcomes}))
    found: list[Gap] = []
    for size in dict.fromkeys(shape.size for shape in shapes):
        of_size = sorted((shape for shape in shapes if shape.size == size), key=lambda shape: shape.depth)
        for (shallow, deep), embedding in itertools.product(itertools.pairwise(of_size), embeddings):
            differences = tuple(losses[shallow, embedding, s] - losses[deep, embedding, s] for s in seeds)
            found.append(Gap(shallow, deep, embedding, seeds, differences))
    return found
