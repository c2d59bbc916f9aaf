"""Adapting any Hugging Face causal language model to rows with LoRA, and merging it back into a plain folder."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.loading import load
from seqtant.lm.text import tokenizer_of
from seqtant.optional import require
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.subtasks.config import TrainConfig
from seqtant.subtasks.rows.augmentation import arm_layouts, training_rows
from seqtant.subtasks.rows.problem_rows import is_rows, load_rows
from seqtant.subtasks.rows.row_tests import held_out
from seqtant.subtasks.training.language_model import solve_with
from seqtant.subtasks.training.row_training import RowBatches
from seqtant.training import TrainingConfig, train
from seqtant.training.losses import IGNORED


def adapt(record: Recorder, config: TrainConfig, context: Context) -> None:
    """Trains LoRA matrices on rows, measures the model before and after, and keeps it as ``model`` in the folder.

    Raises:
        InputError: The task is no set of rows, or the model cannot be used.
        MissingExtraError: PEFT is not installed.
    """
    if not is_rows(config.task):
        raise InputError(f"'{config.task}' is no set of rows: a language model learns from rows, give a .jsonl file")
    peft = require("peft", extra="peft")
    loaded = load(str(config.base), device=context.device)
    splits = load_rows(config.task, context.seed)
    rows, layouts = held_out(splits, config.arm, config.settings, config.test_rows, context.seed)
    before = solve_with(loaded, rows, layouts)
    settings = peft.LoraConfig(r=config.lora_rank, lora_alpha=2 * config.lora_rank, target_modules="all-linear")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # PEFT reads a name that transformers is about to rename; nobody here can do anything about it.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        torch.manual_seed(context.seed)
        network: Any = peft.get_peft_model(loaded.model, settings)
    train(
        network,
        _batches(config, loaded, splits["train"], context.seed),
        _schedule(config),
        context=replace(context, folder=None if context.folder is None else context.folder / "checkpoints"),
    )
    record.value("trained_parameters", sum(each.numel() for each in network.parameters() if each.requires_grad))
    merged = network.merge_and_unload()
    adapted = HuggingFaceLM(merged, loaded.tokenizer, name=f"{loaded.name}, adapted")
    after = solve_with(adapted, rows, layouts)
    for name, scores in (("before", before), ("after", after)):
        record.value(f"accuracy_{name}", scores.answer_accuracy.value)
        record.value(f"chain_accuracy_{name}", scores.chain_accuracy.value)
    record.finding(
        "adapted",
        "Does the model solve unseen rows better after the adaptation?",
        "agrees" if (after.answer_accuracy.low or 0) > before.answer_accuracy.value else "inconclusive",
        f"Right answers: {before.answer_accuracy.value:.3f} before, {after.answer_accuracy.value:.3f} after.",
        predicted=Estimate(value=1.0, method="limit of learning"),
        measured=after.answer_accuracy,
    )
    if context.folder is not None:
        merged.save_pretrained(context.folder / "model")
        tokenizer_of(loaded).save_pretrained(str(context.folder / "model"))
        record.artifact(context.folder / "model" / "model.safetensors", "model")


def _batches(config: TrainConfig, loaded: HuggingFaceLM, rows: list[Any], seed: int) -> RowBatches:
    tokenizer = tokenizer_of(loaded)
    layouts = arm_layouts(rows, config.arm, config.settings, np.random.default_rng([seed, 6]), tokenizer=tokenizer)
    encoded = []
    for row in training_rows(layouts, "causal", tokenizer):
        labels = row["labels"]
        prompt = next(place for place, label in enumerate(labels) if label != IGNORED)
        encoded.append((row["input_ids"], prompt))
    longest = max(len(ids) for ids, _ in encoded)
    if loaded.context_length is not None and longest > loaded.context_length:
        raise InputError(
            f"a row has {longest} tokens and '{loaded.name}' reads {loaded.context_length}: shorten the rows"
        )
    return RowBatches(tuple(encoded), min(config.optimization.batch, len(encoded)), seed)


def _schedule(config: TrainConfig) -> TrainingConfig:
    chosen = config.optimization
    return TrainingConfig(
        steps=config.updates,
        optimizer=chosen.optimizer or "adamw",
        learning_rate=chosen.learning_rate or 2e-3,
        schedule="linear",
        warmup=min(20 if chosen.warmup is None else chosen.warmup, config.updates),
        weight_decay=0.0,
        clip=chosen.clip,
        precision=chosen.precision,
        checkpoint_every=max(1, config.updates // 5),
        keep=1,
    )
