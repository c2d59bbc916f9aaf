"""Evaluates a model on its own steps: per step, by first error, end to end, and against teacher forcing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqtant.data.tokens import CharacterTokens
from seqtant.errors import InputError
from seqtant.findings import Assumption, Estimate, Result
from seqtant.lm.interface import CausalLM
from seqtant.lm.loading import load
from seqtant.lm.scoring import next_token_log_probs
from seqtant.reference.measures import Solved
from seqtant.reference.measures import solve as solve_sums
from seqtant.reference.prompts import Prompts
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import describe, is_path, is_reference, name_of
from seqtant.stats.intervals import share
from seqtant.subtasks.config import ArmName, EvalConfig
from seqtant.subtasks.networks.checkpoint import RECORD, TrainedNetwork, load_trained
from seqtant.subtasks.rows.layout import held_out
from seqtant.subtasks.rows.problem_rows import load_rows
from seqtant.subtasks.tasks.splits import draw_inputs
from seqtant.subtasks.theory import chain_accuracy
from seqtant.subtasks.training.decoding import (
    Scores,
    character_row,
    model_row,
    solve,
    solve_rows,
    solve_with,
    teacher_forced,
)
from seqtant.subtasks.training.reporting import INDEPENDENT, record_exposure, record_row_steps, record_steps

OWN_STEPS = "right_on_own_steps"
"""Measurements per problem, so that two models are compared on the same ones."""


@verb(EvalConfig)
def evaluate(config: EvalConfig, context: Context) -> Result:
    """Evaluates a model on its own steps: per step, by first error, end to end, and against teacher forcing.

    If steps err independently, whole solutions are right with probability prod p_t, where p_t is the accuracy of step
    t given the true earlier ones; what is missing on own steps is the exposure gap.

    Returns:
        Accuracy of the answers and of whole solutions, what the steps predict, the gap; for language models also the
        accuracy of answers at once.

    Raises:
        InputError: The model or the rows cannot be used, or the rows do not suit the model.

    Example:
        >>> from seqtant.subtasks import NetworkConfig, arm_of, fit_network, parity
        >>> task = parity(8)
        >>> fitted = fit_network(task, arm_of("steps", task), NetworkConfig(width=16), updates=4)
        >>> evaluate(fitted, test_rows=20).values["chain_accuracy"] <= 1
        True
    """
    name = describe(config.model)
    with Recorder("subtasks.eval", f"{name_of(config.model)} on its own steps", config, context, papers=(5,)) as record:
        # What `train` or `fit_network` trained, in a folder or in memory; None for language models.
        trained: TrainedNetwork | None = None
        if is_path(config.model):
            folder = Path(config.model)
            trained = load_trained(folder) if (folder / RECORD).is_file() else None
        else:
            held: Any = getattr(config.model, "trained", config.model)
            trained = held if isinstance(held, TrainedNetwork) else None
        if trained is not None and trained.task is not None and trained.arm is not None:
            task, arm = trained.task, trained.arm
            if config.rows is not None:
                raise InputError(f"'{describe(config.model)}' was trained on {task.name}: leave --rows out")
            inputs = draw_inputs(task, "test", config.test_rows, np.random.default_rng([context.seed, 3]))
            generator = torch.Generator().manual_seed(context.seed)
            own = solve(trained.model, task, arm, inputs, decode=config.decode, generator=generator)
            teacher = solve(trained.model, task, arm, inputs, decode="teacher")
            record_steps(record, [str(step) for step in arm.written], own, teacher)
            record_exposure(record, own, teacher, task if trained.arm_name == "steps" else None, context.seed)
            _record_answer(record, own)
        elif trained is None and config.rows is None and not is_reference(config.model):
            raise InputError(f"'{name}' is not what 'subtasks train' wrote: for a language model give --rows to solve")
        elif config.decode != "free":
            raise InputError(
                f"decode is '{config.decode}', which is for tasks: rows are solved on the model's own steps"
            )
        elif trained is not None:
            _evaluate_on_rows(record, config, trained, context)
        elif config.rows is not None:
            model, count = load(config.model, device=context.device, shared=True), config.test_rows
            splits = load_rows(config.rows, context.seed)
            rows, layouts = held_out(splits, "steps", count, context.seed)
            scores = solve_with(model, rows, layouts)
            teacher = teacher_forced(model, [model_row(model, layout) for layout in layouts])
            record_row_steps(record, scores, teacher, context.seed)
            _record_answer(record, scores)
            direct = solve_with(model, *held_out(splits, "answer", count, context.seed))
            record.value("accuracy_direct", direct.answer_accuracy.value)
        else:
            _evaluate_reference(record, config, context)
    return record.result


def _evaluate_on_rows(record: Recorder, config: EvalConfig, trained: TrainedNetwork, context: Context) -> None:
    if config.rows is None:
        what = describe(config.model)
        raise InputError(f"'{what}' was trained on rows: give --rows, the file or folder it was trained on")
    arm: ArmName = trained.arm_name  # type: ignore[assignment]  (a record holds it as text)
    rows, layouts = held_out(load_rows(config.rows, context.seed), arm, config.test_rows, context.seed)
    # The network has no token for a character that its rows did not have.
    unknown = {mark for layout in layouts for mark in layout.text if mark != "\n"} - set(trained.alphabet)
    if unknown:
        raise InputError(
            f"the rows hold {sorted(unknown)[0]!r}, which '{describe(config.model)}' never saw: give rows of its kind"
        )
    model, tokens = trained.model, CharacterTokens([trained.alphabet])
    scores = solve_rows(model, tokens, rows, layouts, longest=trained.longest)
    teacher = teacher_forced(model, [character_row(tokens, layout) for layout in layouts], tokens)
    record_row_steps(record, scores, teacher, context.seed)
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


def _solve_reference_sums(
    model: CausalLM, prompts: Prompts, count: int, generator: np.random.Generator
) -> Iterator[tuple[int, Solved, float]]:
    """Solves ``count`` sums of every length: steps, answers on own steps and at once, prod p_t given true words."""
    settings, world = prompts.settings.sums, prompts.world
    digit_ids = np.array([world.vocabulary.id(word) for word in settings.digits])
    marks = [world.vocabulary.id(word) for word in ("makes", "answer")]
    for digits in range(settings.shortest, len(settings.ordinals) + 1):
        problems = prompts.problems(digits, count, generator)
        solved = solve_sums(model, world, problems)
        # Teacher forcing: the most likely digit after every mark, which stands before each total and the answer.
        texts = [world.encode(f"sums : {problem.text(steps=True)}") for problem in problems]
        places = [[place for place, token in enumerate(text) if token in marks] for text in texts]
        scores = next_token_log_probs(model, texts, places)
        chosen = np.stack([digit_ids[np.asarray(rows)[:, digit_ids].argmax(axis=1)] for rows in scores])
        wanted = np.array([[text[place + 1] for place in own] for text, own in zip(texts, places, strict=True)])
        yield digits - 1, solved, chain_accuracy((chosen == wanted).mean(axis=0))


def _evaluate_reference(record: Recorder, config: EvalConfig, context: Context) -> None:
    model, prompts = load(config.model, device=context.device, shared=True), Prompts()
    generator = np.random.default_rng([context.seed, 12])
    solved = list(_solve_reference_sums(model, prompts, config.test_rows, generator))
    guess = 1 / len(prompts.settings.sums.digits)
    rows = []
    for steps, each, predicted in solved:
        own, direct = each.step_by_step, each.at_once
        both = [(found.value, found.low, found.high) for found in (own, direct)]
        rows.append((steps, *both[0], each.chain.value, predicted, *both[1]))
        for name, found in (("own steps", own), ("at once", direct)):
            record.measure("accuracy", found.value, step=steps, group=name)
            record.measure("accuracy_low", found.low or 0.0, step=steps, group=name)
            record.measure("accuracy_high", found.high or 1.0, step=steps, group=name)
        record.items(OWN_STEPS, each.own_steps, kind=f"{steps} steps problem")
    record.table(
        "problems",
        "Sums, step by step and at once",
        ("steps", "own steps", "low", "high", "end to end", "predicted", "at once", "low", "high"),
        rows,
        note=f"Right answers; predicted: product of the accuracies given the true words; a guess is right {guess:.2f}.",
    )
    pooled: list[Estimate] = []
    for key in ("step_by_step", "at_once", "chain"):
        shares = [getattr(each, key) for _, each, _ in solved]
        right, total = sum(each.value * (each.n or 0) for each in shares), sum(each.n or 0 for each in shares)
        pooled.append(share(round(right), total))
    own, direct, chain = pooled
    predicted = float(np.mean([each for *_, each in solved]))
    for key, each in (("accuracy_with_steps", own), ("accuracy_without_steps", direct), ("chain_accuracy", chain)):
        record.value(key, each.value)
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
