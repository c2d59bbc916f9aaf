"""Evaluates a model on its own steps: per step, by first error, end to end, and against what true steps predict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from seqtant.errors import InputError
from seqtant.findings import Assumption, Estimate, Result
from seqtant.lm.folder import REFERENCE, name_of
from seqtant.lm.loading import load
from seqtant.reference.prompts import Prompts
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import share
from seqtant.subtasks.config import ArmName, ArmSettings, EvalConfig
from seqtant.subtasks.networks.checkpoint import Trained, is_trained, load_trained
from seqtant.subtasks.rows.problem_rows import load_rows
from seqtant.subtasks.rows.row_tests import held_out
from seqtant.subtasks.tasks.splits import draw_inputs
from seqtant.subtasks.theory import chain_accuracy
from seqtant.subtasks.training.language_model import solve_with
from seqtant.subtasks.training.problems import SolvedProblems, solve_problems
from seqtant.subtasks.training.reporting import INDEPENDENT, record_exposure, record_row_steps, record_steps
from seqtant.subtasks.training.row_solving import solve_rows
from seqtant.subtasks.training.scores import Scores
from seqtant.subtasks.training.solving import solve
from seqtant.subtasks.training.teacher_forcing import character_pieces, given_true_text, model_pieces

SETTINGS = ArmSettings()
OWN_STEPS = "right_on_own_steps"
"""Per problem, so that two models are compared on the same ones."""


def run(config: EvalConfig, context: Context) -> Result:
    """Lets the model write solutions and scores them.

    Raises:
        InputError: The model or the rows cannot be used, or the rows do not suit the model.
    """
    with Recorder("subtasks.eval", f"{name_of(config.model)} on its own steps", config, context, papers=(5,)) as record:
        if is_trained(config.model):
            _evaluate_trained(record, config, load_trained(Path(config.model)), context)
        elif config.rows is not None:
            _evaluate_language_model(record, config, context)
        elif config.model == REFERENCE:
            _evaluate_reference(record, config, context)
        else:
            raise InputError(
                f"'{config.model}' is not what 'subtasks train' wrote: for a language model give --rows to solve"
            )
    return record.result


def _evaluate_trained(record: Recorder, config: EvalConfig, trained: Trained, context: Context) -> None:
    if trained.task is None or trained.way is None:
        _evaluate_on_rows(record, config, trained, context)
        return
    if config.rows is not None:
        raise InputError(f"'{config.model}' was trained on {trained.task.name}: leave --rows out")
    inputs = draw_inputs(trained.task, "test", config.test_rows, np.random.default_rng([context.seed, 3]))
    generator = torch.Generator().manual_seed(context.seed)
    own = solve(trained.model, trained.task, trained.way, inputs, decode=config.decode, generator=generator)
    teacher = solve(trained.model, trained.task, trained.way, inputs, decode="teacher")
    record_steps(record, [str(step) for step in trained.way.written], own, teacher)
    record_exposure(record, own, teacher, trained.task if trained.arm == "steps" else None, context.seed)
    _record_answer(record, own)


def _evaluate_on_rows(record: Recorder, config: EvalConfig, trained: Trained, context: Context) -> None:
    _only_free(config)
    if config.rows is None:
        raise InputError(f"'{config.model}' was trained on rows: give --rows, the file or folder it was trained on")
    arm: ArmName = trained.arm  # type: ignore[assignment]  (a record holds it as text)
    rows, layouts = held_out(load_rows(config.rows, context.seed), arm, SETTINGS, config.test_rows, context.seed)
    unknown = {mark for layout in layouts for mark in layout.text if mark != "\n"} - set(trained.alphabet)
    if unknown:
        raise InputError(
            f"the rows hold {sorted(unknown)[0]!r}, which '{config.model}' never saw: give rows of its kind"
        )
    model, tokens = trained.model, trained.tokens
    scores = solve_rows(model, tokens, rows, layouts, longest=trained.longest)
    teacher = given_true_text(model, [character_pieces(tokens, layout) for layout in layouts], tokens)
    _record_rows(record, scores, teacher, context.seed)


def _evaluate_language_model(record: Recorder, config: EvalConfig, context: Context) -> None:
    _only_free(config)
    model = load(config.model, device=context.device, shared=True)
    splits = load_rows(str(config.rows), context.seed)
    for arm in ("steps", "answer"):
        rows, layouts = held_out(splits, arm, SETTINGS, config.test_rows, context.seed)
        scores = solve_with(model, rows, layouts)
        if arm == "steps":
            teacher = given_true_text(model, [model_pieces(model, layout) for layout in layouts])
            _record_rows(record, scores, teacher, context.seed)
        else:
            record.value("accuracy_direct", scores.answer_accuracy.value)


def _only_free(config: EvalConfig) -> None:
    if config.decode != "free":
        raise InputError(f"decode is '{config.decode}', which is for tasks: rows are solved on the model's own steps")


def _record_rows(record: Recorder, scores: Scores, teacher: Scores, seed: int) -> None:
    record_row_steps(record, scores, teacher, seed)
    _record_answer(record, scores)


def _record_answer(record: Recorder, scores: Scores) -> None:
    accuracy = scores.answer_accuracy
    record.value("accuracy", accuracy.value)
    record.items(OWN_STEPS, scores.answer, kind="problem")
    record.finding(
        "answers",
        "Are the answers right on the model's own steps?",
        "agrees" if (accuracy.low or 0) > 0.9 else ("disagrees" if (accuracy.high or 1) < 0.9 else "inconclusive"),
        f"{accuracy.value:.3f} of {len(scores.answer)} answers are right.",
        measured=accuracy,
        advice="" if (accuracy.low or 0) > 0.9 else "The first errors tell which step to split or to train longer.",
    )


def _evaluate_reference(record: Recorder, config: EvalConfig, context: Context) -> None:
    _only_free(config)
    model, prompts = load(config.model, device=context.device, shared=True), Prompts()
    solved = solve_problems(model, prompts, config.test_rows, np.random.default_rng([context.seed, 12]))
    guess = 1 / len(prompts.settings.sums.digits)
    record.table(
        "problems",
        "Sums, step by step and at once",
        ("steps", "own steps", "low", "high", "end to end", "predicted", "at once", "low", "high"),
        [_line(each) for each in solved],
        note=f"Right answers; predicted: product of the accuracies given the true words; a guess is right {guess:.2f}.",
    )
    for each in solved:
        for name, found in (("own steps", each.solved.step_by_step), ("at once", each.solved.at_once)):
            record.measure("accuracy", found.value, step=each.steps, group=name)
            record.measure("accuracy_low", found.low or 0.0, step=each.steps, group=name)
            record.measure("accuracy_high", found.high or 1.0, step=each.steps, group=name)
        record.items(OWN_STEPS, each.solved.own_steps, kind=f"{each.steps} steps problem")
    _conclude_reference(record, solved, guess)


def _line(each: SolvedProblems) -> tuple[float | int | None, ...]:
    own, direct = each.solved.step_by_step, each.solved.at_once
    predicted = chain_accuracy(each.teacher.per_step)
    return (
        each.steps,
        own.value,
        own.low,
        own.high,
        each.solved.chain.value,
        predicted,
        direct.value,
        direct.low,
        direct.high,
    )


def _pooled(found: list[Estimate]) -> Estimate:
    count = sum(each.n or 0 for each in found)
    return share(round(sum(each.value * (each.n or 0) for each in found)), count)


def _conclude_reference(record: Recorder, solved: list[SolvedProblems], guess: float) -> None:
    own = _pooled([each.solved.step_by_step for each in solved])
    direct = _pooled([each.solved.at_once for each in solved])
    chain = _pooled([each.solved.chain for each in solved])
    predicted = float(np.mean([chain_accuracy(each.teacher.per_step) for each in solved]))
    record.value("accuracy_with_steps", own.value)
    record.value("accuracy_without_steps", direct.value)
    record.value("chain_accuracy", chain.value)
    record.value("chain_predicted", predicted)
    record.value("gain", own.value - direct.value)
    better = (own.low or 0) > (direct.high or 1)
    record.finding(
        "steps_pay",
        "Does the model solve compound problems better when it writes the steps?",
        "agrees" if better else ("disagrees" if (own.high or 1) < (direct.low or 0) else "inconclusive"),
        f"Right answers: {own.value:.3f} on its own steps, {direct.value:.3f} at once; a guess is right {guess:.2f}.",
        predicted=Estimate(value=1.0, method="every step reads two earlier words"),
        measured=own,
        assumptions=(
            Assumption(statement="Every step reads a few earlier words.", status="holds", how="two by construction"),
        ),
        advice="Let it write its steps." if better else "",
    )
    record.finding(
        "exposure",
        "Does the model do on its own steps what it does on true ones?",
        "agrees" if (chain.low or 0) - 0.02 <= predicted <= (chain.high or 1) + 0.02 else "disagrees",
        f"{chain.value:.3f} solutions are right word for word; accuracies on true words predict {predicted:.3f}.",
        predicted=Estimate(value=predicted, method="product of step accuracies", n=own.n),
        measured=chain,
        assumptions=(INDEPENDENT,),
    )
