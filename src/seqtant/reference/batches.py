"""Training batches: documents laid end to end in rows, each seeing only itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from seqtant.errors import InputError
from seqtant.reference.config import StageConfig
from seqtant.reference.world.documents import Document
from seqtant.reference.world.vocabulary import PAD_ID
from seqtant.reference.world.world import World
from seqtant.training.losses import IGNORED, LossSum


class WorldBatches:
    """Batches of freshly drawn documents; step and seed alone decide what is drawn.

    Every batch holds the same number of tokens. Early stages cut documents short, so that a batch holds more of them,
    and may mix the kinds otherwise; the last stage should be the world as it is.

    Args:
        world: Where documents come from.
        tokens: Tokens of a batch.
        stages: What batches are like, one stage after the other.
        steps: Steps of the whole run, shared out among the stages.
        seed: Seed of all draws.
        fingerprint: Names the data in checkpoints.

    Raises:
        InputError: A stage's length does not divide the tokens of a batch, or its kinds are not the world's.

    Example:
        >>> from seqtant.reference.world.world import reference_world
        >>> stages = (StageConfig(share=0.5, length=32), StageConfig(share=0.5, length=64))
        >>> source = WorldBatches(reference_world(), tokens=128, stages=stages, steps=10, seed=(1,))
        >>> [tuple(source.batch(step)["input_ids"].shape) for step in (0, 4, 5, 9)]
        [(4, 32), (4, 32), (2, 64), (2, 64)]
    """

    def __init__(
        self,
        world: World,
        *,
        tokens: int,
        stages: Sequence[StageConfig],
        steps: int,
        seed: Sequence[int],
        fingerprint: str = "",
    ) -> None:
        for stage in stages:
            if tokens % stage.length:
                raise InputError(f"a batch of {tokens} tokens has no rows of {stage.length}: use a multiple")
        self.tokens, self.stages, self.fingerprint = tokens, tuple(stages), fingerprint
        self._worlds = [_world_of(world, stage) for stage in stages]
        shares = np.cumsum([stage.share for stage in stages])
        self._ends = np.round(shares / shares[-1] * steps)
        self._seed = tuple(seed)

    def batch(self, step: int) -> Mapping[str, torch.Tensor]:
        """Draws the batch of one step: all tensors (rows, length)."""
        number = min(int(np.searchsorted(self._ends, step, side="right")), len(self.stages) - 1)
        generator = np.random.default_rng([*self._seed, step])
        length = self.stages[number].length
        rows = self.tokens // length
        return packed(self._documents(self._worlds[number], rows, length, generator), rows, length)

    def _documents(self, world: World, rows: int, length: int, generator: np.random.Generator) -> list[Document]:
        documents: list[Document] = []
        missing = rows * length
        # A row drops what is cut from its last document, so the rows need more tokens than they hold.
        while missing > 0:
            drawn = world.draw(rows, generator, longest=length)
            documents += drawn
            missing -= sum(len(document.tokens) for document in drawn)
        return documents + world.draw(rows, generator, longest=length)


def _world_of(world: World, stage: StageConfig) -> World:
    kinds = [kind.eased() if kind.name in stage.eased else kind for kind in world.kinds.values()]
    return World(kinds, stage.weights or world.weights)


def packed(documents: Sequence[Document], rows: int, length: int) -> dict[str, torch.Tensor]:
    """Lays documents end to end in rows; the last document of a row is cut to fit.

    Args:
        documents: Enough documents to fill the rows, or the last rows stay partly empty.
        rows: Number of rows.
        length: Tokens of a row.

    Returns:
        ``input_ids``, ``labels`` (-100 at the first token of a document and on padding), ``position_ids`` within the
        document, and ``segments``: number of the document within its row, 0 for padding; all (rows, length).
    """
    ids = np.full((rows, length), PAD_ID)
    labels = np.full((rows, length), IGNORED)
    positions = np.zeros((rows, length), dtype=np.int64)
    segments = np.zeros((rows, length), dtype=np.int64)
    row = start = 0
    for document in documents:
        if row == rows:
            break
        tokens = document.tokens[: length - start]
        place = slice(start, start + len(tokens))
        ids[row, place] = tokens
        labels[row, place] = np.concatenate([[IGNORED], tokens[1:]])
        positions[row, place] = np.arange(len(tokens))
        segments[row, place] = segments[row].max() + 1
        start += len(tokens)
        if start == length:
            row, start = row + 1, 0
    arrays = {"input_ids": ids, "labels": labels, "position_ids": positions, "segments": segments}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def packed_loss(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> LossSum:
    """Next-token cross-entropy of packed documents, in nats; no document attends to another.

    Args:
        model: A transformers causal language model.
        batch: What :func:`packed` returns.

    Returns:
        Sum over the labels and their number.
    """
    segments = batch["segments"]
    same = segments[:, :, None] == segments[:, None, :]
    causal = torch.ones_like(same[0]).tril()
    output: Any = model(
        input_ids=batch["input_ids"],
        position_ids=batch["position_ids"],
        attention_mask=(same & causal)[:, None],
        use_cache=False,
    )
    labels = batch["labels"][:, 1:].flatten()
    logits = output.logits[:, :-1].flatten(0, 1).float()
    total = functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    return LossSum(total, (labels != IGNORED).sum())
