"""Trains one network on one way to write solutions, and tests it on inputs it has never seen."""

from __future__ import annotations

from dataclasses import replace

from seqtant.errors import InputError
from seqtant.findings import Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.subtasks.config import TrainConfig
from seqtant.subtasks.networks.checkpoint import Trained, save_trained
from seqtant.subtasks.rows.problem_rows import is_rows, load_rows
from seqtant.subtasks.rows.row_tests import held_out
from seqtant.subtasks.tasks.arms import arm_of
from seqtant.subtasks.tasks.choice import choose_task
from seqtant.subtasks.training.fitting import final_scores, fit_network
from seqtant.subtasks.training.reporting import record_exposure, record_row_steps, record_steps
from seqtant.subtasks.training.row_training import fit_rows
from seqtant.subtasks.training.scores import Scores

LAZY = 0.3
"""Relative change of the weights below which training counts as staying near its start."""


def run(config: TrainConfig, context: Context) -> Result:
    """Trains; with a folder the network is kept under ``model``, and an interrupted run goes on.

    Raises:
        InputError: The task or the rows cannot be used.
        TrainingError: The loss or the gradient is not finite.
    """
    what = config.base or config.network.kind
    with Recorder("subtasks.train", f"{what} on {config.task}, {config.arm}", config, context, papers=(5,)) as record:
        if config.base is not None:
            from seqtant.subtasks.training.lora import adapt

            adapt(record, config, context)
        elif is_rows(config.task):
            _train_rows(record, config, context)
        else:
            _train_task(record, config, context)
    return record.result


def checkpoints(context: Context, name: str = "checkpoints") -> Context:
    """The same circumstances, with checkpoints in a folder of their own."""
    return replace(context, folder=None if context.folder is None else context.folder / name)


def _train_task(record: Recorder, config: TrainConfig, context: Context) -> None:
    task = choose_task(config, context.seed)
    arm = arm_of(config.arm, task, config.settings, context.seed)
    fitted = fit_network(
        task,
        arm,
        config.network,
        config.optimization,
        updates=config.updates,
        evaluate_every=config.evaluate_every,
        seed=context.seed,
        context=checkpoints(context),
    )
    free, teacher = final_scores(fitted, config.test_rows, context.seed)
    for point in fitted.curve:
        record.measure("answer", point.answer, step=point.update, seed=context.seed, group=config.arm)
        for number, accuracy in enumerate(point.steps):
            record.measure(f"step {arm.written[number]}", accuracy, step=point.update, seed=context.seed)
    record_steps(record, [str(step) for step in arm.written], free, teacher)
    record_exposure(record, free, teacher, task if config.arm == "steps" else None, context.seed)
    _record_outcome(record, free, fitted.weight_change, fitted.cpu_seconds, fitted.updates_to(0.99))
    if context.folder is not None:
        length = task.inputs + arm.pauses + len(arm.written)
        kept = Trained(
            network=fitted.network,
            config=config.network,
            vocabulary=arm.vocabulary(task),
            context=length,
            arm=config.arm,
            task=task,
            way=arm,
        )
        for path in save_trained(kept, context.folder / "model"):
            record.artifact(path, "model")


def _train_rows(record: Recorder, config: TrainConfig, context: Context) -> None:
    if config.network.kind == "elman" and config.network.trained is None:
        raise InputError("rows are texts: give --network decoder or lstm, or --set network.trained=all")
    splits = load_rows(config.task, context.seed)
    fitted = fit_rows(
        splits,
        config.arm,
        config.settings,
        config.network,
        config.optimization,
        updates=config.updates,
        evaluate_every=config.evaluate_every,
        seed=context.seed,
        context=checkpoints(context),
    )
    for update, answer, chain in fitted.curve:
        record.measure("answer", answer, step=update, seed=context.seed, group=config.arm)
        record.measure("chain", chain, step=update, seed=context.seed, group=config.arm)
    rows, layouts = held_out(splits, config.arm, config.settings, config.test_rows, context.seed)
    scores = fitted.solve(rows, layouts)
    record_row_steps(record, scores, fitted.given_true_text(layouts), context.seed)
    _record_outcome(record, scores, fitted.weight_change, fitted.cpu_seconds, fitted.updates_to(0.99))
    if context.folder is not None:
        kept = Trained(
            network=fitted.network,
            config=config.network,
            vocabulary=fitted.tokens.vocabulary,
            context=fitted.context,
            arm=config.arm,
            alphabet=fitted.tokens.alphabet,
            longest=fitted.longest,
        )
        for path in save_trained(kept, context.folder / "model"):
            record.artifact(path, "model")


def _record_outcome(record: Recorder, free: Scores, change: float, seconds: float, updates: int | None) -> None:
    accuracy = free.answer_accuracy
    record.value("accuracy", accuracy.value)
    record.value("updates_to_99", updates)
    record.value("weight_change", change)
    record.value("training_cpu_seconds", seconds)
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
