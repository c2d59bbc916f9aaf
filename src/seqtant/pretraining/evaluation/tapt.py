"""Task-adaptive pretraining of a masked language model on examples with and without neighbors (kNN-TAPT).

Levine et al. 2022 put the neighbors into the same example. Gururangan et al. 2020 use the same name for adding them to
the corpus as separate examples; that is the arm ``split`` here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from seqtant.data.json_lines import read_lines, text_of, value_of
from seqtant.errors import InputError
from seqtant.lm.pretrained import from_pretrained
from seqtant.pretraining.build.build import Build
from seqtant.pretraining.build.dataset import IGNORED, ExampleBatches, ExampleTable
from seqtant.pretraining.config import TaptConfig
from seqtant.pretraining.corpus.tokenizer import open_tokenizer
from seqtant.runs.context import Context
from seqtant.training import LossSum, TrainingConfig, train
from seqtant.training.batches import Batch


def fresh_model(vocabulary: int, window: int, seed: int) -> nn.Module:
    """A tiny masked language model with fresh weights."""
    from transformers import BertConfig, BertForMaskedLM

    shape = BertConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=window + 2,
    )
    # transformers draws first weights from the global state: it is put back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertForMaskedLM(shape)


def load_model(folder: str, vocabulary: int, window: int) -> nn.Module:
    """Loads a masked language model from a Hugging Face folder.

    Raises:
        InputError: It cannot be loaded, or does not fit the build's tokens or window.
    """
    from transformers import AutoModelForMaskedLM

    if not (Path(folder) / "config.json").is_file():
        raise InputError(f"'{folder}' holds no config.json: give the folder of a masked language model")
    model = from_pretrained(
        AutoModelForMaskedLM, folder, "the masked language model", local_files_only=True, use_safetensors=True
    )
    if vocabulary > model.config.vocab_size:
        raise InputError(
            f"the build has {vocabulary} tokens, '{folder}' knows {model.config.vocab_size}: build with its --tokenizer"
        )
    if window > getattr(model.config, "max_position_embeddings", window):
        raise InputError(f"the build's windows of {window} tokens do not fit '{folder}': build with a smaller --window")
    return model


class MaskedBatches:
    """Examples with some tokens masked, found from seed and step alone.

    Of the chosen tokens 80 % become the mask, 10 % a random token, 10 % stay (Devlin et al. 2019).

    Args:
        batches: Examples.
        mask: Token that stands for a masked one.
        vocabulary: Number of tokens.
        share: Share of the tokens that are chosen.
        seed: Seed of the choice.
    """

    def __init__(self, batches: ExampleBatches, *, mask: int, vocabulary: int, share: float, seed: int) -> None:
        self.batches, self.mask, self.vocabulary, self.share, self.seed = batches, mask, vocabulary, share, seed
        self.fingerprint = f"{batches.fingerprint} masked {share} {seed}"

    def batch(self, step: int) -> dict[str, Int[torch.Tensor, "batch time"]]:
        """The batch of one step, with an attention mask that leaves out only what was filled in."""
        generator = torch.Generator().manual_seed((self.seed << 32) + step)
        batch = self.batches.batch(step)
        ids, real = batch["input_ids"].clone(), batch["labels"] != IGNORED
        chosen = (torch.rand(ids.shape, generator=generator) < self.share) & real
        chosen[:, 0] |= ~chosen.any(dim=1)
        kind = torch.rand(ids.shape, generator=generator)
        labels = torch.where(chosen, ids, IGNORED)
        ids[chosen & (kind < 0.8)] = self.mask
        anything = torch.randint(self.vocabulary, ids.shape, generator=generator)
        ids = torch.where(chosen & (kind >= 0.9), anything, ids)
        return {"input_ids": ids, "labels": labels, "attention_mask": real.long()}


def masked_loss(model: nn.Module, batch: Batch) -> LossSum:
    """Cross-entropy of the masked tokens, in nats."""
    output: Any = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    labels = batch["labels"].flatten()
    total = nn.functional.cross_entropy(
        output.logits.flatten(0, 1).float(), labels, ignore_index=IGNORED, reduction="sum"
    )
    return LossSum(total, (labels != IGNORED).sum())


@dataclass(frozen=True)
class SentencePairs:
    """Pairs of sentences and how alike they are."""

    first: list[Int[np.ndarray, " time"]]
    """Tokens of the first sentences."""
    second: list[Int[np.ndarray, " time"]]
    """Tokens of the second sentences."""
    score: Float[np.ndarray, " pairs"]
    """How alike, by people or by where they come from."""


def read_pairs(path: str, build: Build) -> SentencePairs:
    """Scored sentence pairs from JSON lines with ``first``, ``second`` and ``score``.

    Raises:
        InputError: The file is missing or a line is not what it should be.
    """
    lines = read_lines(path, give="JSON lines with first, second and score")
    rows = [(text_of(row, "first", at), text_of(row, "second", at), _score(row, at)) for at, row in lines]
    if len(rows) < 8:
        raise InputError(f"'{path}' holds {len(rows)} pairs: give at least 8")
    name = build.manifest["config"]["segment"]["tokenizer"]
    tokenizer = open_tokenizer(name, build.folder / (build.manifest["tokenizer"] or ""))
    texts = [text for first, second, _ in rows for text in (first, second)]
    tokens = tokenizer.encode(texts)
    return SentencePairs(tokens[::2], tokens[1::2], np.array([score for *_, score in rows]))


def _score(record: dict[str, Any], place: str) -> float:
    score = value_of(record, "score", place)
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise InputError(f"{place}: 'score' is {score!r}: it must be a finite number")
    return float(score)


def pairs_of_build(build: Build, count: int, seed: int) -> SentencePairs:
    """Segments of one document (score 1) and of two (score 0), half each.

    Raises:
        InputError: No document has two segments of fitting length.
    """
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


def similarities(table: Float[np.ndarray, "vocabulary width"], pairs: SentencePairs) -> Float[np.ndarray, " pairs"]:
    """Cosine of averaged input token embeddings, the mean over all sentences taken off."""

    def means(lines: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([table[line].mean(axis=0) for line in lines])

    first, second = means(pairs.first), means(pairs.second)
    center = np.concatenate([first, second]).mean(axis=0)
    first, second = first - center, second - center
    sizes = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(axis=1) / np.maximum(sizes, 1e-12)


def embedding_table(model: nn.Module) -> Float[np.ndarray, "vocabulary width"]:
    """The input embeddings of a transformers model."""
    holder: Any = model
    return holder.get_input_embeddings().weight.detach().cpu().float().numpy()


def adapt(model: nn.Module, build: Build, arm: str, config: TaptConfig, context: Context) -> float:
    """Continues masked pretraining on one arm; returns the mean loss of the last tenth of the steps.

    Raises:
        InputError: There is no such arm.
    """
    table = ExampleTable(build, arm, seed=context.seed)
    inner: Any = model
    mask = int(getattr(inner.config, "mask_token_id", None) or table.separator)
    batches = MaskedBatches(
        ExampleBatches(table, rows=config.rows),
        mask=mask,
        vocabulary=int(build.manifest["vocabulary"]),
        share=config.masked,
        seed=context.seed,
    )
    settings = TrainingConfig(steps=config.steps, learning_rate=config.learning_rate, warmup=config.steps // 10)
    history = train(model, batches, settings, loss=masked_loss, context=context)
    return float(np.mean(history.losses[-max(1, config.steps // 10) :]))
