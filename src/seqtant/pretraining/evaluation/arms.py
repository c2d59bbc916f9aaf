"""Evaluates decoders and masked models that were trained on the arms of a build, all on the same held-out text.

Training losses cannot be compared between arms: each is the loss of another text. What can is the loss on the same
held-out anchors, alone and after their neighbors, and on the same running text; for masked models the similarity of
sentences. Task-adaptive pretraining follows Levine et al. 2022 (kNN-TAPT), who put the neighbors into the same example;
Gururangan et al. 2020 add them to the corpus as separate examples, which is the arm ``split`` here.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import spearmanr
from torch import nn

from seqtant.errors import InputError
from seqtant.lm.loading import from_pretrained
from seqtant.models.decoder import Decoder
from seqtant.pretraining.build.build import EVALUATION, HELD_OUT, Build
from seqtant.pretraining.build.dataset import IGNORED, ExampleBatches
from seqtant.sources import ModelSource, Rows, describe, is_path, read_lines, text_of, value_of
from seqtant.training import LossSum
from seqtant.training.batches import Batch

MEASURES = ("after neighbors", "alone", "cloze", "running text")
"""Losses of the same held-out tokens, in nats per token: of anchors after their neighbors; of anchors alone; of anchors
alone, but only of their rare tokens that a neighbor in the training text holds too; of running text."""


@dataclass(frozen=True)
class Anchor:
    """A held-out segment with its neighbors from the training text."""

    context: Int[np.ndarray, " before"]
    """Tokens of the neighbors, separators included."""
    tokens: Int[np.ndarray, " time"]
    known: Bool[np.ndarray, " time"]
    """Tokens that are rare and occur in the context too."""
    document: int
    """Document of the segment; anchors of one document are not independent."""


@dataclass(frozen=True)
class Evaluation:
    """Held-out text on which every arm and seed is evaluated."""

    anchors: list[Anchor]
    running: list[np.ndarray]
    separator: int
    """Token before a segment that is read alone."""


def sample_evaluation(build: Build, most: int, seed: int) -> Evaluation:
    """Samples the held-out text on which models are evaluated."""
    if EVALUATION not in build.manifest["examples"]:
        raise InputError(f"'{build.folder}' holds no documents out: build with --set segment.hold_out=10")
    examples = list(build.tokens(EVALUATION))
    lengths, offsets = build.column(EVALUATION, "segment_lengths")
    documents, _ = build.column(EVALUATION, "doc_ids")
    running = list(build.tokens(HELD_OUT))
    if len(examples) < 2 or not running:
        raise InputError(f"'{build.folder}' holds too little out to measure on: build with more text")
    # Frequent are the tokens that alone make up half of the text; all others are rare.
    counts = np.bincount(build.segments.tokens, minlength=int(build.manifest["vocabulary"]))
    order = np.argsort(-counts, kind="stable")
    rare = np.ones(len(counts), dtype=bool)
    rare[order[np.cumsum(counts[order]) <= 0.5 * counts.sum()]] = False
    rows = np.random.default_rng([seed, 7]).permutation(len(examples))[:most]
    anchors = []
    for row in rows.tolist():
        ids = examples[row]
        own = int(lengths[offsets[row + 1] - 1])
        # The anchor is the last part of its example; its own separator is not evaluated.
        context, tokens = ids[: len(ids) - own], ids[len(ids) - own : -1]
        known = np.isin(tokens, context) & rare[tokens]
        anchors.append(Anchor(context, tokens, known, int(documents[offsets[row + 1] - 1])))
    return Evaluation(anchors, running[:most], int(build.manifest["separator"]))


@dataclass(frozen=True)
class Losses:
    """Losses of one model, per anchor (or example of running text), in nats per token."""

    by_measure: dict[str, Float[np.ndarray, " rows"]]
    """NaN where an anchor has no token of that kind."""
    similarity: float
    """Spearman correlation of the cosine of averaged token embeddings with being from one document."""


@torch.no_grad()
def evaluate(model: Decoder, evaluation: Evaluation) -> Losses:
    """Evaluates one model."""
    model.eval()
    start = np.array([evaluation.separator])
    anchors = evaluation.anchors
    alone = [np.concatenate([start, anchor.tokens]) for anchor in anchors]
    after = [np.concatenate([anchor.context, anchor.tokens]) for anchor in anchors]
    alone_losses, after_losses = _token_losses(model, alone), _token_losses(model, after)
    running = _token_losses(model, evaluation.running)
    # Of the losses of context and anchor, the last are the anchor's.
    own = [line[-len(anchor.tokens) :] for line, anchor in zip(after_losses, anchors, strict=True)]
    known = [line[anchor.known] for line, anchor in zip(alone_losses, anchors, strict=True)]
    table = model.embedding.get_parameter("weight").numpy()
    means = np.stack([table[anchor.tokens].mean(axis=0) for anchor in anchors])
    # A part that all averages share would make all cosines alike.
    means = means - means.mean(axis=0)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    # Every pair of anchors once.
    left, right = np.triu_indices(len(means), 1)
    document = np.array([anchor.document for anchor in anchors])
    together = (document[left] == document[right]).astype(float)
    return Losses(
        {
            name: np.array([line.mean() if len(line) else np.nan for line in lines])
            for name, lines in zip(MEASURES, (own, alone_losses, known, running), strict=True)
        },
        similarity=spearman((means @ means.T)[left, right], together),
    )


def _token_losses(model: Decoder, sequences: list[np.ndarray], rows: int = 32) -> list[np.ndarray]:
    """Computes the loss of every token after the first, in batches of sequences of similar length."""
    losses: list[np.ndarray] = [np.zeros(0)] * len(sequences)
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    for start in range(0, len(order), rows):
        chosen = order[start : start + rows]
        lines = [torch.from_numpy(sequences[index].astype(np.int64)) for index in chosen]
        ids = torch.nn.utils.rnn.pad_sequence(lines, batch_first=True)
        labels = torch.nn.utils.rnn.pad_sequence(lines, batch_first=True, padding_value=IGNORED)
        # cross_entropy wants the classes on axis 1.
        logits = model(ids)[:, :-1].transpose(1, 2)
        found = torch.nn.functional.cross_entropy(logits, labels[:, 1:], ignore_index=IGNORED, reduction="none")
        for index, line, own in zip(chosen, found.numpy(), lines, strict=True):
            # What follows belongs to the padding.
            losses[index] = line[: len(own) - 1]
    return losses


def spearman(values: np.ndarray, score: np.ndarray) -> float:
    """Computes the rank correlation; 0 where either is constant."""
    if np.ptp(values) == 0 or np.ptp(score) == 0:
        return 0.0
    found: Any = spearmanr(values, score)
    return float(found.statistic)


def masked_model(source: ModelSource | None, *, vocabulary: int, window: int, seed: int) -> nn.Module:
    """Loads a masked language model, or copies one in memory; without any, makes a tiny one with fresh weights."""
    from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM

    if source is None:
        shape = BertConfig(
            vocab_size=vocabulary,
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=128,
            max_position_embeddings=window + 2,
        )
        # transformers samples fresh weights from the global generator: its state is restored afterwards.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return BertForMaskedLM(shape)
    name = describe(source)
    if not is_path(source):
        network: Any = source[0] if isinstance(source, tuple) else source
        if not isinstance(network, nn.Module) or not hasattr(network, "config"):
            raise InputError(f"{type(network).__name__} is no transformers model: give a masked language model")
        # Every arm trains a copy of its own: the user's network keeps its weights.
        model: Any = copy.deepcopy(network)
    elif not (Path(source) / "config.json").is_file():
        raise InputError(f"'{name}' holds no config.json: give the folder of a masked language model")
    else:
        model = from_pretrained(
            AutoModelForMaskedLM, source, "the masked language model", local_files_only=True, use_safetensors=True
        )
    if vocabulary > model.config.vocab_size:
        raise InputError(
            f"the build has {vocabulary} tokens, '{name}' knows {model.config.vocab_size}: build with its --tokenizer"
        )
    if window > getattr(model.config, "max_position_embeddings", window):
        raise InputError(f"the build's windows of {window} tokens do not fit '{name}': build with a smaller --window")
    return model


class MaskedBatches:
    """Masks some tokens of each batch, from seed and step alone.

    Of the chosen tokens 80 % become the mask, 10 % a random token, 10 % stay (Devlin et al. 2019).
    """

    def __init__(self, batches: ExampleBatches, *, mask: int, vocabulary: int, share: float, seed: int) -> None:
        self.batches, self.mask, self.vocabulary, self.share, self.seed = batches, mask, vocabulary, share, seed
        self.fingerprint = f"{batches.fingerprint} masked {share} {seed}"

    def batch(self, step: int) -> dict[str, Int[torch.Tensor, "batch time"]]:
        """Returns the batch of one step, with an attention mask that leaves out the padding only."""
        # Seed and step share one number: no two of them get the same random stream.
        generator = torch.Generator().manual_seed((self.seed << 32) + step)
        batch = self.batches.batch(step)
        ids, real = batch["input_ids"].clone(), batch["labels"] != IGNORED
        chosen = (torch.rand(ids.shape, generator=generator) < self.share) & real
        # A row without a chosen token gets its first: no row may be without a loss.
        chosen[:, 0] |= ~chosen.any(dim=1)
        kind = torch.rand(ids.shape, generator=generator)
        labels = torch.where(chosen, ids, IGNORED)
        # kind in [0, 0.8) becomes the mask, in [0.8, 0.9) stays, in [0.9, 1) becomes a random token.
        ids[chosen & (kind < 0.8)] = self.mask
        anything = torch.randint(self.vocabulary, ids.shape, generator=generator)
        ids = torch.where(chosen & (kind >= 0.9), anything, ids)
        return {"input_ids": ids, "labels": labels, "attention_mask": real.long()}


def masked_loss(model: nn.Module, batch: Batch) -> LossSum:
    """Sums the cross-entropy of the masked tokens, in nats."""
    output: Any = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    labels = batch["labels"].flatten()
    total = nn.functional.cross_entropy(
        output.logits.flatten(0, 1).float(), labels, ignore_index=IGNORED, reduction="sum"
    )
    return LossSum(total, (labels != IGNORED).sum())


@dataclass(frozen=True)
class SentencePairs:
    """Pairs of sentences with similarity scores."""

    first: list[Int[np.ndarray, " time"]]
    second: list[Int[np.ndarray, " time"]]
    score: Float[np.ndarray, " pairs"]
    """Similarity, judged by people or by whether both come from one document."""


def read_pairs(source: Rows, build: Build) -> SentencePairs:
    """Reads scored sentence pairs: JSON lines with ``first``, ``second`` and ``score``, or such rows in memory."""
    texts: list[str] = []
    scores: list[float] = []
    for at, row in read_lines(
        source, give="JSON lines with first, second and score", fields=("first", "second", "score")
    ):
        texts += text_of(row, "first", at), text_of(row, "second", at)
        score = value_of(row, "score", at)
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
            raise InputError(f"{at}: 'score' is {score!r}: it must be a finite number")
        scores.append(float(score))
    if len(scores) < 8:
        raise InputError(f"'{describe(source)}' holds {len(scores)} pairs: give at least 8")
    tokens = build.tokenizer.encode(texts)
    return SentencePairs(tokens[::2], tokens[1::2], np.array(scores))


def sample_pairs(build: Build, count: int, seed: int) -> SentencePairs:
    """Samples pairs of segments: half adjacent ones of one document (score 1), half random ones (usually score 0)."""
    segments = build.segments
    generator = np.random.default_rng([seed, 8])
    rows = np.flatnonzero(segments.eligible)
    beside = rows[:-1][segments.document[rows[:-1]] == segments.document[rows[1:]]]
    if not len(beside):
        raise InputError(f"'{build.folder}' has no document with two segments of fitting length: build with more text")
    left = generator.choice(beside, count // 2)
    after = rows[np.searchsorted(rows, left) + 1]
    others = generator.choice(rows, (2, count - count // 2))
    first, second = np.concatenate([left, others[0]]), np.concatenate([after, others[1]])
    pieces = [
        [segments.tokens[segments.offsets[s] : segments.offsets[s + 1]] for s in side] for side in (first, second)
    ]
    return SentencePairs(pieces[0], pieces[1], (segments.document[first] == segments.document[second]).astype(float))


def pair_similarities(
    table: Float[np.ndarray, "vocabulary width"], pairs: SentencePairs
) -> Float[np.ndarray, " pairs"]:
    """Computes the cosine of averaged input embeddings, after subtracting the mean over all sentences."""
    first, second = (np.stack([table[line].mean(axis=0) for line in side]) for side in (pairs.first, pairs.second))
    center = np.concatenate([first, second]).mean(axis=0)
    first, second = first - center, second - center
    sizes = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / np.maximum(sizes, 1e-12)
