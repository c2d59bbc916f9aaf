"""Trains one network on one way to write solutions, and tests it on inputs it has never seen."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from seqtant.errors import InputError
from seqtant.findings import Estimate, Result
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import tokenizer_of
from seqtant.lm.loading import load, without_foreign_warnings
from seqtant.optional import require
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import ModelSource, describe, is_path
from seqtant.subtasks.config import TrainConfig, describe_input
from seqtant.subtasks.networks.checkpoint import save_trained
from seqtant.subtasks.rows.layout import arm_layouts, held_out, training_rows
from seqtant.subtasks.rows.problem_rows import Row, load_rows
from seqtant.subtasks.tasks.arms import arm_of
from seqtant.subtasks.tasks.builtin import choose_task, is_rows
from seqtant.subtasks.training.decoding import Scores, character_row, solve_with, teacher_forced
from seqtant.subtasks.training.fitting import LAZY, Fitted, RowBatches, final_scores, fit_network, fit_rows
from seqtant.subtasks.training.reporting import record_exposure, record_row_steps, record_steps
from seqtant.training import TrainingConfig
from seqtant.training import train as run_training
from seqtant.training.losses import IGNORED


@verb(TrainConfig)
def train(config: TrainConfig, context: Context) -> Result:
    """Trains one network on one way to write solutions, and tests it on inputs it has never seen.

    With ``out`` the network is kept in its folder ``model``, and an interrupted run goes on; in memory,
    :func:`seqtant.subtasks.fit_network` gives it back. A language model given as ``base`` is adapted with LoRA; one
    that is in memory is copied first and stays as it is.

    Returns:
        Accuracy on own steps, updates to 99 %, accuracy of each step on own and on true steps, the exposure gap.

    Raises:
        InputError: The task or the rows cannot be used.
        TrainingError: The loss or the gradient is not finite.

    Example:
        >>> from seqtant.subtasks import NetworkConfig, parity
        >>> result = train(parity(8), network=NetworkConfig(width=16), updates=4, test_rows=20)
        >>> sorted(result.values)[:3]
        ['accuracy', 'answer_predicted', 'chain_accuracy']
    """
    what = config.network.kind if config.base is None else describe(config.base)
    title = f"{what} on {describe_input(config.task)}, {config.arm}"
    with Recorder("subtasks.train", title, config, context, papers=(5,)) as record:
        within = replace(context, folder=None if context.folder is None else context.folder / "checkpoints")
        seed = within.seed
        options: dict[str, Any] = {"network": config.network, "optimization": config.optimization}
        options |= {"updates": config.updates, "evaluate_every": config.evaluate_every, "seed": seed, "context": within}
        if config.base is not None:
            _finetune(record, config, config.base, within)
        elif is_rows(config.task):
            if config.network.kind == "elman" and config.network.trained is None:
                raise InputError("rows are texts: give --network decoder or lstm, or --set network.trained=all")
            splits = load_rows(config.task, seed)
            fitted = fit_rows(splits, config.arm, noise=config.settings.noise, **options)
            for point in fitted.curve:
                record.measure("answer", point.answer, step=point.update, seed=seed, group=config.arm)
                record.measure("chain", point.chain, step=point.update, seed=seed, group=config.arm)
            rows, layouts = held_out(splits, config.arm, config.test_rows, seed)
            scores = fitted.solve(rows, layouts)
            teacher = teacher_forced(
                fitted.model, [character_row(fitted.tokens, each) for each in layouts], fitted.tokens
            )
            record_row_steps(record, scores, teacher, seed)
            _conclude(record, scores, fitted)
        else:
            _train_on_task(record, config, options)
    return record.result


def _train_on_task(record: Recorder, config: TrainConfig, options: dict[str, Any]) -> None:
    seed = options["seed"]
    task = choose_task(config, seed)
    arm = arm_of(config.arm, task, config.settings, seed)
    fitted = fit_network(task, arm, **options)
    free, teacher = final_scores(fitted, config.test_rows, seed)
    for point in fitted.curve:
        record.measure("answer", point.answer, step=point.update, seed=seed, group=config.arm)
        for number, accuracy in enumerate(point.steps):
            record.measure(f"step {arm.written[number]}", accuracy, step=point.update, seed=seed)
    record_steps(record, [str(step) for step in arm.written], free, teacher)
    record_exposure(record, free, teacher, task if config.arm == "steps" else None, seed)
    _conclude(record, free, fitted)


def _conclude(record: Recorder, free: Scores, fitted: Fitted) -> None:
    """Records the outcome of a training, and saves the network where there is a folder."""
    accuracy, change = free.answer_accuracy, fitted.weight_change
    record.value("accuracy", accuracy.value)
    record.value("updates_to_99", fitted.updates_to(0.99))
    record.value("weight_change", change)
    record.value("training_cpu_seconds", fitted.cpu_seconds)
    low = accuracy.low or 0.0
    record.finding(
        "learned",
        "Is the answer right on the network's own steps?",
        "agrees" if low > 0.95 else ("inconclusive" if accuracy.value > 0.6 else "disagrees"),
        f"{accuracy.value:.3f} of {len(free.answer)} unseen inputs are answered right.",
        predicted=Estimate(value=1.0, method="limit of learning"),
        measured=accuracy,
        advice=""
        if low > 0.95
        else "Look at the accuracy per step: the first one that lags needs updates or smaller steps.",
    )
    if change >= LAZY:
        record.warn(
            f"The weights moved by {change:.2f} of their length: theory of small changes does not describe this."
        )
    folder = record.context.folder
    for path in () if folder is None else save_trained(fitted.trained, folder / "model"):
        record.artifact(path, "model")


def _finetune(record: Recorder, config: TrainConfig, base: ModelSource, within: Context) -> None:
    """Fine-tunes a language model on rows, tests it before and after, and keeps it as ``model`` in the folder."""
    if not is_rows(config.task):
        raise InputError(
            f"'{describe_input(config.task)}' is no set of rows: a language model learns from rows, give a .jsonl file"
        )
    # Asked for here as well, so that nobody waits for the first evaluation to learn that an extra is missing.
    require("peft", extra="peft")
    model = load(base, device=within.device)
    if not is_path(base):
        # LoRA puts its matrices into the network and merges them: a user's own must stay as it is.
        model = model.with_network(copy.deepcopy(model.model))
    splits = load_rows(config.task, within.seed)
    rows, layouts = held_out(splits, config.arm, config.test_rows, within.seed)
    # Before: the adaptation changes the weights of this model.
    before = solve_with(model, rows, layouts)
    tuned, trained_parameters = _adapt(model, splits["train"], config, within)
    record.value("trained_parameters", trained_parameters)
    after = solve_with(tuned, rows, layouts)
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
    folder = record.context.folder
    if folder is not None:
        tuned.model.save_pretrained(folder / "model")
        tokenizer_of(tuned).save_pretrained(str(folder / "model"))
        record.artifact(folder / "model" / "model.safetensors", "model")


def _adapt(
    model: HuggingFaceLM, rows: Sequence[Row], config: TrainConfig, context: Context
) -> tuple[HuggingFaceLM, int]:
    """Trains LoRA matrices (alpha / rank is 2), merges them into ``model`` itself, and counts what was trained."""
    peft = require("peft", extra="peft")
    settings = peft.LoraConfig(r=config.lora_rank, lora_alpha=2 * config.lora_rank, target_modules="all-linear")
    with torch.random.fork_rng(devices=[]), without_foreign_warnings():
        torch.manual_seed(context.seed)
        network: Any = peft.get_peft_model(model.model, settings)
    tokenizer, generator = tokenizer_of(model), np.random.default_rng([context.seed, 6])
    layouts = arm_layouts(rows, config.arm, generator, noise=config.settings.noise, tokenizer=tokenizer)
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
    given = config.optimization
    schedule = TrainingConfig(
        steps=config.updates,
        optimizer=given.optimizer or "adamw",
        learning_rate=given.learning_rate or 2e-3,
        schedule="linear",
        warmup=min(20 if given.warmup is None else given.warmup, config.updates),
        weight_decay=0.0,
        clip=given.clip,
        precision=given.precision,
        checkpoint_every=max(1, config.updates // 5),
        keep=1,
    )
    batches = RowBatches(tuple(encoded), min(given.batch, len(encoded)), context.seed)
    run_training(network, batches, schedule, context=context)
    # Counted before the merge, which removes the matrices.
    trained = sum(each.numel() for each in network.parameters() if each.requires_grad)
    return model.with_network(network.merge_and_unload(), name=f"{model.name}, adapted"), trained
