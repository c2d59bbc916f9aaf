"""A small causal model of its own on given texts: learned tokens and a Llama."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqtant.data.windows import TokenWindows
from seqtant.reference.config import ShapeConfig
from seqtant.reference.recipe import build_network
from seqtant.reference.tokenizer import finished
from seqtant.reference.world.vocabulary import SPECIALS
from seqtant.runs.context import Context
from seqtant.training import TrainingConfig, TrainingHistory, train

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


def learn_tokenizer(texts: Iterable[str], vocabulary: int, *, context_length: int) -> PreTrainedTokenizerFast:
    """Byte-level byte pairs of lower-case text; a text begins with the beginning-of-sequence token.

    Args:
        texts: What is learned from.
        vocabulary: Most tokens.
        context_length: Longest text in tokens.

    Example:
        >>> tokenizer = learn_tokenizer(["low lower lowest " * 9], 270, context_length=8)
        >>> tokenizer.decode(tokenizer("Lower é").input_ids, skip_special_tokens=True)
        'lower é'
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    pairs = Tokenizer(models.BPE())
    pairs.normalizer = normalizers.Lowercase()  # pyright: ignore[reportAttributeAccessIssue]
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    pairs.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pairs.train_from_iterator(texts, trainer)
    return finished(pairs, context_length=context_length)


def token_row(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> np.ndarray:
    """All texts as one row of tokens, each after a beginning-of-sequence token."""
    encoded = tokenizer(list(texts), verbose=False)["input_ids"]
    return np.concatenate([np.asarray(ids, dtype=np.int32) for ids in encoded])


def train_small(
    row: np.ndarray, shape: ShapeConfig, vocabulary: int, settings: TrainingConfig, *, rows: int, context: Context
) -> tuple[LlamaForCausalLM, TrainingHistory]:
    """Trains a Llama on random windows of a token row; with a folder it goes on where it stopped.

    Args:
        row: Tokens.
        shape: Shape of the network; its context length is that of a window.
        vocabulary: Number of tokens.
        settings: Course of the training.
        rows: Windows per step.
        context: Seed, device, progress; checkpoints go to ``checkpoints`` in its folder.
    """
    network = build_network(shape, vocabulary, context.seed)
    name = hashlib.sha256(row.tobytes()).hexdigest()[:16]
    windows = TokenWindows(row, length=shape.context_length, rows=rows, seed=context.seed, name=name)
    folder = None if context.folder is None else context.folder / "checkpoints"
    own = Context(seed=context.seed, device=context.device, folder=folder, progress=context.progress)
    return network, train(network, windows, settings, context=own)
