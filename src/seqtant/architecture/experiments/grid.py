"""Networks of equal size and different depth: which shapes a sweep trains, and one training run of one of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from seqtant.architecture.config import EmbeddingKind, SweepConfig
from seqtant.data.corpus import Corpus
from seqtant.data.windows import TokenWindows, spread_windows
from seqtant.errors import InputError
from seqtant.models.decoder_config import DecoderConfig
from seqtant.runs.context import Context
from seqtant.runs.files import write_text

LARGEST_MISMATCH = 0.1
"""Largest relative difference between the size of a shape and the size it stands for."""


@dataclass(frozen=True)
class Shape:
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

    shape: Shape
    """Depth and width."""
    embedding: EmbeddingKind
    """``plain``, ``control`` (factorized, full rank) or a rank."""

    @property
    def rank(self) -> int | None:
        """Rank of the factorized embedding; None for a plain one."""
        if self.embedding == "plain":
            return None
        return self.shape.width if self.embedding == "control" else int(self.embedding)

    def __str__(self) -> str:
        kind = f"rank {self.embedding}" if isinstance(self.embedding, int) else self.embedding
        return f"{self.shape.depth} x {self.shape.width}, {kind}"


@dataclass(frozen=True)
class Run:
    """One training run."""

    cell: Cell
    """What is trained."""
    learning_rate: float
    """Peak learning rate."""
    seed: int
    """Seed of weights and data order; runs of equal seed see the same batches."""
    steps: int
    """Optimizer steps."""


@dataclass(frozen=True)
class Outcome:
    """What came out of one run."""

    run: Run
    """The run."""
    loss: float
    """Validation loss, nats per token."""
    bits_per_byte: float
    """The same in bits per byte of text."""
    training_loss: float
    """Mean training loss of the last tenth of the steps."""
    parameters: int
    """All parameters of the network."""
    seconds: float
    """Wall time."""


def shapes(config: SweepConfig) -> list[Shape]:
    """The shapes of a sweep, by size and depth.

    Raises:
        InputError: No width makes a depth come near a size.

    Example:
        >>> [(s.depth, s.width) for s in shapes(SweepConfig(sizes=(2.2e5,), depths=(2, 8)))]
        [(2, 96), (8, 48)]
    """
    step = config.head_size or config.heads
    found: list[Shape] = []
    for size in config.sizes:
        for depth in config.depths:
            wanted = (size / (12 * depth)) ** 0.5
            width = max(round(wanted / step), 1) * step
            shape = Shape(size, depth, width)
            if abs(shape.matrix_parameters / size - 1) > LARGEST_MISMATCH:
                raise InputError(
                    f"no width that {step} divides gives {depth} layers about {size:g} parameters "
                    f"(nearest: width {width}, {shape.matrix_parameters}): choose another size, heads or head_size"
                )
            found.append(shape)
    return found


def cells(config: SweepConfig) -> list[Cell]:
    """Every shape with every embedding.

    Raises:
        InputError: A rank is not below a width, where it would limit nothing.
    """
    found = [Cell(shape, embedding) for shape in shapes(config) for embedding in config.embeddings]
    for cell in found:
        if isinstance(cell.embedding, int) and cell.embedding >= cell.shape.width:
            raise InputError(
                f"rank {cell.embedding} does not limit a width of {cell.shape.width}: use a smaller rank, or 'control'"
            )
    return found


def network(cell: Cell, config: SweepConfig, vocabulary: int) -> DecoderConfig:
    """The network of a cell."""
    return DecoderConfig(
        vocabulary=vocabulary,
        depth=cell.shape.depth,
        width=cell.shape.width,
        heads=cell.shape.width // config.head_size if config.head_size else config.heads,
        context=config.context,
        embedding_rank=cell.rank,
        positions=config.positions,
    )


def find_or_train(run: Run, config: SweepConfig, corpus: Corpus, context: Context) -> Outcome:
    """Takes the outcome of a run from the sweep's folder, or trains and leaves it there.

    Args:
        run: What to train.
        config: The sweep.
        corpus: Tokens.
        context: Device, progress, and the folder whose ``cells`` hold the outcomes; None keeps nothing.

    Raises:
        InputError: A stored outcome cannot be read.
    """
    if context.folder is None:
        return _train(run, config, corpus, context)
    path = context.folder / "cells" / f"{_name(run, config, corpus)}.json"
    if path.is_file():
        return _read(path, run)
    outcome = _train(run, config, corpus, replace(context, folder=None))
    numbers = {key: value for key, value in asdict(outcome).items() if key != "run"}
    write_text(path, json.dumps({"run": _described(run, config, corpus)} | numbers, indent=1))
    return outcome


def _described(run: Run, config: SweepConfig, corpus: Corpus) -> dict[str, object]:
    """Everything that decides the outcome of a run."""
    return {
        **asdict(network(run.cell, config, corpus.vocabulary)),
        **asdict(config.training(run.steps, run.learning_rate)),
        "rows": config.rows,
        "validation_windows": config.validation_windows,
        "seed": run.seed,
        "corpus": corpus.fingerprint,
    }


def _name(run: Run, config: SweepConfig, corpus: Corpus) -> str:
    text = json.dumps(_described(run, config, corpus), sort_keys=True)
    shape = run.cell.shape
    readable = f"L{shape.depth}-d{shape.width}-{run.cell.embedding}-lr{run.learning_rate:g}-seed{run.seed}"
    return f"{readable}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _read(path: Path, run: Run) -> Outcome:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        del data["run"]
        return Outcome(run=run, **data)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"'{path}' cannot be read: delete it to train that network again") from error


def _train(run: Run, config: SweepConfig, corpus: Corpus, context: Context) -> Outcome:
    import time

    import torch

    from seqtant.models.decoder import Decoder
    from seqtant.training import mean_loss, train

    started = time.perf_counter()
    shape = network(run.cell, config, corpus.vocabulary)
    model = Decoder(shape, generator=torch.Generator().manual_seed(run.seed))
    source = TokenWindows(corpus.train, length=config.context, rows=config.rows, seed=run.seed, name=corpus.fingerprint)
    settings = config.training(run.steps, run.learning_rate)
    history = train(model, source, settings, context=replace(context, seed=run.seed, folder=None))
    held_out = spread_windows(corpus.validation, length=config.context, most=config.validation_windows)
    loss = mean_loss(model, {"input_ids": held_out})
    last = history.losses[-max(run.steps // 10, 1) :]
    return Outcome(
        run=run,
        loss=loss,
        bits_per_byte=corpus.bits_per_byte(loss),
        training_loss=sum(last) / len(last),
        parameters=shape.parameters,
        seconds=time.perf_counter() - started,
    )
