"""Trains a small decoder on each arm of a build, and measures what the arms are meant to change, on held-out text.

Training losses cannot be compared between arms: each is the loss of another text. What can is the loss on the same
held-out anchors, alone and after their neighbors, and on the same running text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from seqtant.errors import InputError
from seqtant.models.decoder import Decoder
from seqtant.models.decoder_config import DecoderConfig
from seqtant.pretraining.build.build import EVALUATION, HELD_OUT, Build
from seqtant.pretraining.build.dataset import IGNORED, ExampleBatches, ExampleTable
from seqtant.pretraining.config import CompareArmsConfig
from seqtant.runs.context import Context
from seqtant.training import TrainingConfig, train

MEASURES = ("after neighbors", "alone", "cloze", "running text")
"""Losses of the same held-out tokens, in nats per token: of anchors after their neighbors, of anchors alone, of those
words of anchors alone that a training segment near them holds too, and of running text."""


@dataclass(frozen=True)
class Anchor:
    """A held-out segment with its neighbors from the training text."""

    company: Int[np.ndarray, " before"]
    """Tokens of the neighbors, separators included."""
    tokens: Int[np.ndarray, " time"]
    """Tokens of the segment."""
    known: Bool[np.ndarray, " time"]
    """Tokens that are rare and stand in the company too."""
    document: int
    """Document of the segment: anchors of one document are not independent."""


@dataclass(frozen=True)
class Evaluation:
    """What is measured after training, the same for every arm and seed."""

    anchors: list[Anchor]
    """Held-out segments."""
    running: list[np.ndarray]
    """Examples of held-out running text."""
    separator: int
    """Stands before a segment that is read alone."""

    @cached_property
    def documents(self) -> list[int]:
        """Document of each anchor."""
        return [anchor.document for anchor in self.anchors]


def evaluation_of(build: Build, most: int, seed: int) -> Evaluation:
    """Draws what is measured.

    Args:
        build: A build with held-out documents.
        most: Number of anchors, and largest number of running examples.
        seed: Seed of the draw.

    Raises:
        InputError: The build holds nothing out, or too little.
    """
    if EVALUATION not in build.manifest["examples"]:
        raise InputError(f"'{build.folder}' holds no documents out: build with --set segment.hold_out=10")
    examples = list(build.tokens(EVALUATION))
    lengths, offsets = build.column(EVALUATION, "segment_lengths")
    documents, _ = build.column(EVALUATION, "doc_ids")
    running = list(build.tokens(HELD_OUT))
    if len(examples) < 2 or not running:
        raise InputError(f"'{build.folder}' holds too little out to measure on: build with more text")
    rare = _rare_tokens(build)
    rows = np.random.default_rng([seed, 7]).permutation(len(examples))[:most]
    anchors = []
    for row in rows.tolist():
        ids = examples[row]
        own = int(lengths[offsets[row + 1] - 1])
        company, tokens = ids[: len(ids) - own], ids[len(ids) - own : -1]
        known = np.isin(tokens, company) & rare[tokens]
        anchors.append(Anchor(company, tokens, known, int(documents[offsets[row + 1] - 1])))
    return Evaluation(anchors, running[:most], int(build.manifest["separator"]))


def _rare_tokens(build: Build, share: float = 0.5) -> Bool[np.ndarray, " vocabulary"]:
    """Tokens beyond the most frequent ones, which alone make up half of the text."""
    counts = np.bincount(build.segments.tokens, minlength=int(build.manifest["vocabulary"]))
    order = np.argsort(-counts, kind="stable")
    frequent = order[np.cumsum(counts[order]) <= share * counts.sum()]
    rare = np.ones(len(counts), dtype=bool)
    rare[frequent] = False
    return rare


@dataclass(frozen=True)
class Losses:
    """Losses of one trained model, per anchor (or example of running text), in nats per token."""

    by_measure: dict[str, Float[np.ndarray, " rows"]]
    """NaN where an anchor has no token of that kind."""
    similarity: float
    """Spearman correlation of the similarity of averaged token embeddings with being of one document."""


@torch.no_grad()
def measure(model: Decoder, evaluation: Evaluation) -> Losses:
    """All losses of one model."""
    model.eval()
    start = np.array([evaluation.separator])
    anchors = evaluation.anchors
    everything = [np.ones(len(anchor.tokens), dtype=bool) for anchor in anchors]
    known = [anchor.known for anchor in anchors]
    alone = [np.concatenate([start, anchor.tokens]) for anchor in anchors]
    after = [np.concatenate([anchor.company, anchor.tokens]) for anchor in anchors]
    alone_losses, after_losses = _token_losses(model, alone), _token_losses(model, after)
    running = _token_losses(model, evaluation.running)
    own = [line[-len(anchor.tokens) :] for line, anchor in zip(after_losses, anchors, strict=True)]
    return Losses(
        {
            "after neighbors": _means(own, everything),
            "alone": _means(alone_losses, everything),
            "cloze": _means(alone_losses, known),
            "running text": np.array([line.mean() for line in running]),
        },
        embedding_similarity(model.embedding.get_parameter("weight").numpy(), evaluation),
    )


def _means(lines: list[np.ndarray], masks: list[np.ndarray]) -> np.ndarray:
    pairs = zip(lines, masks, strict=True)
    return np.array([line[mask].mean() if mask.any() else np.nan for line, mask in pairs])


def _token_losses(model: Decoder, sequences: list[np.ndarray], rows: int = 32) -> list[np.ndarray]:
    """Loss of every token after the first, sequences of like length together."""
    losses: list[np.ndarray] = [np.zeros(0)] * len(sequences)
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    for start in range(0, len(order), rows):
        chosen = order[start : start + rows]
        lines = [torch.from_numpy(sequences[index].astype(np.int64)) for index in chosen]
        ids = torch.nn.utils.rnn.pad_sequence(lines, batch_first=True)
        labels = torch.nn.utils.rnn.pad_sequence(lines, batch_first=True, padding_value=IGNORED)
        logits = model(ids)[:, :-1].transpose(1, 2)
        found = torch.nn.functional.cross_entropy(logits, labels[:, 1:], ignore_index=IGNORED, reduction="none")
        for index, line, own in zip(chosen, found.numpy(), lines, strict=True):
            losses[index] = line[: len(own) - 1]
    return losses


def embedding_similarity(table: Float[np.ndarray, "vocabulary width"], evaluation: Evaluation) -> float:
    """Spearman correlation between the cosine of averaged token embeddings and whether two anchors share a document."""
    from scipy.stats import spearmanr

    means = np.stack([table[anchor.tokens].mean(axis=0) for anchor in evaluation.anchors])
    means = means - means.mean(axis=0)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    left, right = np.triu_indices(len(means), 1)
    same = np.array(evaluation.documents)
    together = same[left] == same[right]
    if together.all() or not together.any():
        return 0.0
    found: Any = spearmanr((means @ means.T)[left, right], together)
    return float(found.statistic)


def train_arm(build: Build, arm: str, config: CompareArmsConfig, seed: int, context: Context) -> Decoder:
    """Trains one decoder; runs of equal seed begin with the same weights.

    Raises:
        InputError: There is no such arm.
    """
    shape = DecoderConfig(
        vocabulary=int(build.manifest["vocabulary"]),
        depth=config.depth,
        width=config.width,
        heads=config.heads,
        context=build.window,
        tied=True,
    )
    model = Decoder(shape, generator=torch.Generator().manual_seed(seed))
    batches = ExampleBatches(ExampleTable(build, arm, seed=seed), rows=config.rows)
    settings = TrainingConfig(
        steps=config.steps, learning_rate=config.learning_rate, warmup=min(config.steps, max(1, config.steps // 20))
    )
    train(model, batches, settings, context=context)
    return model
