"""Training on GINC: batches of fresh documents, or of a fixed corpus as published, through the common loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from seqtant.data.windows import TokenWindows
from seqtant.icl.config import GincTrainConfig
from seqtant.icl.ginc.networks import build_network
from seqtant.icl.ginc.parameters import DELIMITER, Ginc
from seqtant.icl.ginc.sampling import draw_documents
from seqtant.runs.context import Context
from seqtant.training import TrainingHistory, train

CORPUS_LENGTH = 10240
"""Symbols of a document of the fixed corpus, as published."""
TRAINING, CORPUS, CHECKING, PROMPTING = range(4)
"""Last part of the seed of each use of chance, so that none draws what another drew."""


class FreshDocuments:
    """Every batch is drawn anew from the step: beginnings of documents behind a beginning-of-sequence token.

    Args:
        ginc: The parameters.
        rows: Rows of a batch.
        length: Tokens of a row.
        seed: Seed of all draws.
    """

    def __init__(self, ginc: Ginc, *, rows: int, length: int, seed: int) -> None:
        self.ginc, self.rows, self.length, self.seed = ginc, rows, length, seed
        self.fingerprint = f"ginc {ginc.settings} length {length} rows {rows} seed {seed}"

    def batch(self, step: int) -> dict[str, torch.Tensor]:
        """The rows of one step under ``input_ids``."""
        generator = np.random.default_rng([self.seed, TRAINING, step])
        tokens = draw_documents(self.ginc, self.rows, self.length - 1, generator).tokens
        start = np.full((self.rows, 1), self.ginc.settings.vocabulary)
        return {"input_ids": torch.from_numpy(np.concatenate([start, tokens], axis=1))}


def batches_of(config: GincTrainConfig, ginc: Ginc, seed: int) -> Any:
    """Where the recipe's batches come from."""
    if not config.documents:
        return FreshDocuments(ginc, rows=config.rows, length=config.context, seed=seed)
    generator = np.random.default_rng([seed, CORPUS])
    documents = draw_documents(ginc, config.documents, CORPUS_LENGTH, generator).tokens
    joined = np.pad(documents, ((0, 0), (0, 1)), constant_values=DELIMITER).ravel().astype(np.int64)
    name = f"ginc {ginc.settings} documents {config.documents} seed {seed}"
    return TokenWindows(joined, length=config.context, rows=config.rows, seed=seed, name=name)


def fit(config: GincTrainConfig, ginc: Ginc, context: Context) -> tuple[nn.Module, TrainingHistory]:
    """Trains a network; run again with the same folder, it goes on where it stopped."""
    network = build_network(
        config.network, ginc.settings.vocabulary, config.context, bos=not config.documents, seed=context.seed
    )
    folder = None if context.folder is None else context.folder / "checkpoints"
    history = train(
        network, batches_of(config, ginc, context.seed), config.training, context=replace(context, folder=folder)
    )
    return network, history
