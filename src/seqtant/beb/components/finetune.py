"""Trains one side on texts: a LoRA adapter with PEFT, or all weights; the house's training loop does either."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from seqtant.beb.components.adapters import without_foreign_warnings
from seqtant.beb.components.rows import Rows
from seqtant.beb.components.tuning import keep
from seqtant.beb.fitting_settings import Fitting
from seqtant.errors import InputError
from seqtant.lm.hooks import decoder_blocks
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.optional import require
from seqtant.runs.context import Context
from seqtant.training import TrainingConfig, train

WEIGHT_DECAY = 0.01
PAPER_RATE, PAPER_PARAMETERS, LARGEST_RATE = 2e-5, 13e9, 0.01
ALL = ("all-linear",)
WARMUP = 10
"""Steps of warm-up where all weights are trained; adapters begin at zero and need none."""


def fit_side(
    base: HuggingFaceLM,
    documents: Sequence[Sequence[int]],
    config: Fitting,
    folder: Path,
    context: Context,
) -> float:
    """Trains an adapter, or a copy of the model, on documents and writes it.

    Args:
        base: The base model; it stays as it is.
        documents: Token ids of the training texts.
        config: Rank, scale, modules, course.
        folder: Where it goes.
        context: Seed and progress.

    Returns:
        Mean training loss of the last epoch, in nats per token.

    Raises:
        InputError: The modules to adapt are not there, a text is too long, or the folder holds another kind of fit.
        MissingExtraError: An adapter is wanted and PEFT is not installed.
    """
    other = folder / ("config.json" if config.rank else "adapter_config.json")
    if other.is_file():
        raise InputError(
            f"'{folder}' holds {'a model' if config.rank else 'an adapter'} of an earlier fit: give another folder"
        )
    longest = max(map(len, documents))
    if base.context_length is not None and longest > base.context_length:
        raise InputError(f"a training text has {longest} tokens, but '{base.name}' reads at most {base.context_length}")
    network = _prepared(base, config, context.seed) if config.rank else copy.deepcopy(base.model).requires_grad_(True)
    steps = max(1, math.ceil(config.epochs * len(documents) / config.batch))
    training = TrainingConfig(
        steps=steps,
        warmup=0 if config.rank else min(WARMUP, steps),
        learning_rate=config.learning_rate or usual_rate(base.model.num_parameters()),
        schedule="linear",
        final_fraction=0.0,
        weight_decay=WEIGHT_DECAY,
        betas=(0.9, 0.999),
    )
    rows = Rows(documents, min(config.batch, len(documents)), base.pad_id)
    quiet = Context(seed=context.seed, device=str(base.device), progress=context.progress)
    history = train(network, rows, training, context=quiet)
    if config.rank:
        # Left to itself, PEFT asks the hub whether the base model has other embeddings.
        network.save_pretrained(str(folder), save_embedding_layers=False)
    else:
        keep(network, base, folder)
    epoch = max(1, len(documents) // config.batch)
    return sum(history.losses[-epoch:]) / len(history.losses[-epoch:])


def usual_rate(parameters: int) -> float:
    """The peak learning rate where none is given: the paper's at its size, more for smaller models.

    Example:
        >>> usual_rate(13_000_000_000), round(usual_rate(260_000), 4)
        (2e-05, 0.0045)
    """
    return min(PAPER_RATE * math.sqrt(PAPER_PARAMETERS / parameters), LARGEST_RATE)


def _prepared(base: HuggingFaceLM, config: Fitting, seed: int) -> Any:
    peft = require("peft", extra="peft")
    blocks = len(decoder_blocks(base))
    if config.first_layer >= blocks:
        raise InputError(f"first_layer is {config.first_layer}: '{base.name}' has blocks 0 to {blocks - 1}")
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=0.0,
        task_type="CAUSAL_LM",
        target_modules=ALL[0] if config.targets == ALL else list(config.targets) or None,
        layers_to_transform=list(range(config.first_layer, blocks)) if config.first_layer else None,
    )
    try:
        # PEFT draws the first weights from torch's global generator.
        with without_foreign_warnings(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return peft.get_peft_model(copy.deepcopy(base.model), settings)
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"no adapter can be put into '{base.name}': {reason}; give targets, module names") from error
