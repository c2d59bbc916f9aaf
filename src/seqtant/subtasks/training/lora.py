"""LoRA fine-tuning of any Hugging Face causal language model on rows, merged back into plain weights."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from seqtant.errors import InputError
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import tokenizer_of
from seqtant.optional import require
from seqtant.runs.context import Context
from seqtant.subtasks.config import ArmName, OptimizationConfig
from seqtant.subtasks.rows.layout import arm_layouts, training_rows
from seqtant.subtasks.rows.problem_rows import Row
from seqtant.subtasks.training.fitting import RowBatches
from seqtant.training import TrainingConfig, train
from seqtant.training.losses import IGNORED


def finetune(
    model: HuggingFaceLM,
    rows: Sequence[Row],
    arm: ArmName,
    optimization: OptimizationConfig,
    *,
    noise: float,
    rank: int,
    updates: int,
    seed: int,
    context: Context,
) -> tuple[HuggingFaceLM, int]:
    """Trains LoRA matrices of some rank on rows and merges them into the weights; ``model`` itself is changed.

    The other arguments are those of :func:`~seqtant.subtasks.training.fitting.fit_rows`. The scale of the matrices,
    alpha / rank, is 2.

    Returns:
        The merged model, and the number of trained parameters.

    Raises:
        InputError: A row is longer than the model's context.
        MissingExtraError: PEFT is not installed.
    """
    peft = require("peft", extra="peft")
    settings = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # PEFT reads a name that transformers is about to rename; nobody here can do anything about it.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        torch.manual_seed(seed)
        network: Any = peft.get_peft_model(model.model, settings)
    tokenizer = tokenizer_of(model)
    layouts = arm_layouts(rows, arm, np.random.default_rng([seed, 6]), noise=noise, tokenizer=tokenizer)
    encoded = []
    for row in training_rows(layouts, "causal", tokenizer):
        # The prompt ends at the first token with a label.
        prompt = next(position for position, label in enumerate(row["labels"]) if label != IGNORED)
        encoded.append((row["input_ids"], prompt))
    longest = max(len(ids) for ids, _ in encoded)
    if model.context_length is not None and longest > model.context_length:
        raise InputError(
            f"a row has {longest} tokens and '{model.name}' reads {model.context_length}: shorten the rows"
        )
    schedule = TrainingConfig(
        steps=updates,
        optimizer=optimization.optimizer or "adamw",
        learning_rate=optimization.learning_rate or 2e-3,
        schedule="linear",
        warmup=min(20 if optimization.warmup is None else optimization.warmup, updates),
        weight_decay=0.0,
        clip=optimization.clip,
        precision=optimization.precision,
        checkpoint_every=max(1, updates // 5),
        keep=1,
    )
    train(network, RowBatches(tuple(encoded), min(optimization.batch, len(encoded)), seed), schedule, context=context)
    # Counted before the merge, which removes the matrices.
    trained = sum(each.numel() for each in network.parameters() if each.requires_grad)
    merged = network.merge_and_unload()
    return HuggingFaceLM(merged, tokenizer, name=f"{model.name}, adapted"), trained
