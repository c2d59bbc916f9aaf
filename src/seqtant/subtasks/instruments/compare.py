"""Trains the same network with and without steps, seed by seed, and counts the updates that each arm needs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seqtant.findings import Assumption, Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import clustered_mean, share
from seqtant.subtasks.config import ArmName, CompareConfig, describe_input
from seqtant.subtasks.rows.layout import held_out
from seqtant.subtasks.rows.problem_rows import Row, load_rows
from seqtant.subtasks.tasks.arms import arm_of
from seqtant.subtasks.tasks.builtin import choose_task, is_rows
from seqtant.subtasks.tasks.splits import Split
from seqtant.subtasks.tasks.task import Task
from seqtant.subtasks.training.decoding import Scores
from seqtant.subtasks.training.fitting import LAZY, Fitted, final_scores, fit_network, fit_rows


@dataclass(frozen=True)
class Trial:
    """One network on one arm."""

    arm: ArmName
    seed: int
    fitted: Fitted
    scores: Scores
    chance: float
    """Accuracy of always giving the most common answer."""


@verb(CompareConfig)
def compare(config: CompareConfig, context: Context) -> Result:
    """Trains the same network with and without steps, seed by seed, and counts the updates that each arm needs.

    With ``out`` an interrupted comparison goes on. A run that has not reached 90 % when its updates are spent is
    censored: its time is longer than the budget.

    Returns:
        Accuracy of each arm on unseen inputs and the network's own steps, the median of updates to 90 and 99 %, and
        the gain of the steps over answering at once.

    Raises:
        InputError: The task or the rows cannot be used.
        TrainingError: A loss or a gradient is not finite.

    Example:
        >>> from seqtant.subtasks import NetworkConfig, parity
        >>> result = compare(parity(8), network=NetworkConfig(width=32), seeds=1, updates=4, test_rows=20)
        >>> result.values["chance"]
        0.5
    """
    splits = load_rows(config.task, context.seed) if is_rows(config.task) else None
    task = choose_task(config, context.seed) if splits is None else None
    what = describe_input(config.task) if task is None else task.name
    title = f"{what[0].upper()}{what[1:]} with and without steps"
    with Recorder("subtasks.compare", title, config, context, papers=(5,)) as record:
        trials: list[Trial] = []
        bar = context.progress.task("comparing", config.seeds * len(config.arms))
        for seed in range(context.seed, context.seed + config.seeds):
            for arm in config.arms:
                trials.append(_trial(config, splits, arm, seed, context))
                _record_curve(record, trials[-1], config)
                bar.advance()
        bar.close()
        # One line per arm, over all seeds.
        rows = []
        for arm in config.arms:
            own = [trial for trial in trials if trial.arm == arm]
            accuracy = _accuracy(own)
            nineties = [trial.fitted.updates_to(0.9) for trial in own]
            chain = float(np.mean([trial.scores.chain.mean() for trial in own]))
            change = max(trial.fitted.weight_change for trial in own)
            seconds = sum(trial.fitted.cpu_seconds for trial in own)
            record.value(f"accuracy_{arm}", accuracy.value)
            record.value(f"training_cpu_seconds_{arm}", seconds)
            reached = sum(each is not None for each in nineties)
            median = median_updates(nineties)
            longest = f"> {config.updates}" if median is None else f"{median:.0f}"
            shares = (accuracy.value, accuracy.low, accuracy.high, chain)
            rows.append((arm, *shares, f"{reached} of {len(own)}", longest, change))
        columns = ("arm", "answers right", "low", "high", "end to end", "seeds at 90 %", "median updates to 90 %")
        note = "On unseen inputs and the network's own steps."
        record.table("arms", "Every way to write solutions", (*columns, "weight change"), rows, note=note)
        stepwise = [trial for trial in trials if trial.arm == "steps"]
        without = [t for t in trials if t.arm == "answer"] or [t for t in trials if t.arm == "pause"]
        if stepwise:
            _conclude_steps(record, config, stepwise)
        if without:
            _conclude_without(record, config, task, without)
        if stepwise and without:
            record.value("gain", _accuracy(stepwise).value - _accuracy(without).value)
    return record.result


def _trial(
    config: CompareConfig, splits: Mapping[Split, Sequence[Row]] | None, arm: ArmName, seed: int, context: Context
) -> Trial:
    """Trains and tests one arm with one seed, on rows where there are any."""
    folder = None if context.folder is None else context.folder / "checkpoints" / f"{arm}-{seed}"
    how: dict[str, Any] = {"updates": config.updates, "evaluate_every": config.evaluate_every, "seed": seed}
    how |= {"network": config.network, "optimization": config.optimization, "context": replace(context, folder=folder)}
    if splits is not None:
        # The rows are the same for all seeds: only weights, order and noise differ.
        fitted_rows = fit_rows(splits, arm, noise=config.settings.noise, **how)
        rows, layouts = held_out(splits, arm, config.test_rows, seed)
        answers = Counter(row.answer_text for row in rows)
        chance = answers.most_common(1)[0][1] / len(rows)
        return Trial(arm, seed, fitted_rows, fitted_rows.solve(rows, layouts), chance)
    task = choose_task(config, seed)
    fitted = fit_network(task, arm_of(arm, task, config.settings, seed), **how)
    free, _ = final_scores(fitted, config.test_rows, seed)
    chance = 0.5
    # A parity is 1 for exactly half of the inputs; other answers are counted on a sample.
    if not task.is_parity_tree:
        inputs = np.random.default_rng(0).integers(task.alphabet, size=(4096, task.inputs))
        values = task.labels(inputs)[:, list(task.answer)]
        chance = float(np.unique(values, axis=0, return_counts=True)[1].max() / len(values))
    return Trial(arm, seed, fitted, free, chance)


def _record_curve(record: Recorder, trial: Trial, config: CompareConfig) -> None:
    """Records the learning curve of a trial, and when it reached 90 %."""
    for point in trial.fitted.curve:
        for key, value in (("answer", point.answer), ("chain", point.chain)):
            record.measure(key, value, step=point.update, seed=trial.seed, group=trial.arm)
        if trial.arm == "steps" and trial.seed == record.context.seed:
            for number, accuracy in enumerate(point.steps):
                record.measure("step_accuracy", accuracy, step=point.update, seed=trial.seed, group=str(number))
    reached = trial.fitted.updates_to(0.9)
    # A run that did not get there is censored: its time is longer than the budget.
    key, updates = ("censored_at", config.updates) if reached is None else ("updates_to_90", reached)
    record.measure(key, updates, seed=trial.seed, group=trial.arm)


def _accuracy(trials: Sequence[Trial]) -> Estimate:
    """Estimates the share of right answers over all seeds; the interval is the union of Wilson's and the seeds' own."""
    answers = np.concatenate([trial.scores.answer for trial in trials])
    pooled = share(int(answers.sum()), len(answers))
    if len(trials) < 2:
        return pooled
    seeds = np.repeat([trial.seed for trial in trials], [len(trial.scores.answer) for trial in trials])
    between = clustered_mean(answers.astype(float), seeds)
    # One seed that fails widens the interval, though its rows are many.
    low = min(pooled.low or 0.0, between.low if between.low is not None else 1.0)
    high = max(pooled.high or 1.0, between.high if between.high is not None else 0.0)
    return replace(
        pooled, low=max(0.0, low), high=min(1.0, high), method="Wilson, widened over seeds", clusters=len(trials)
    )


def median_updates(reached: Sequence[int | None]) -> float | None:
    """Computes the median of updates where some runs are censored; None where the median itself is.

    Example:
        >>> median_updates([300, None, 500]), median_updates([None, None, 500])
        (500.0, None)
    """
    # A censored run is infinite: the median is finite as long as more than half got there.
    found = float(np.median([math.inf if each is None else each for each in reached]))
    return found if math.isfinite(found) else None


def _conclude_steps(record: Recorder, config: CompareConfig, trials: Sequence[Trial]) -> None:
    """Concludes on the arm with all steps."""
    accuracy = _accuracy(trials)
    change = max(trial.fitted.weight_change for trial in trials)
    record.value("accuracy_with_steps", accuracy.value)
    record.value("worst_seed_with_steps", min(float(trial.scores.answer.mean()) for trial in trials))
    record.value("updates_to_99", median_updates([trial.fitted.updates_to(0.99) for trial in trials]))
    record.value("updates_to_90", median_updates([trial.fitted.updates_to(0.9) for trial in trials]))
    record.value("weight_change", change)
    learned = accuracy.value >= 0.99
    recurrent = config.network.kind == "elman" and config.network.trained != "all"
    near = Assumption(
        statement="The network stays near its start, as the proof for wide networks has it.",
        status=("holds" if change < LAZY else "fails") if recurrent else "not checked",
        how=f"the trained weights moved by {change:.3f} of their length"
        + ("" if recurrent else "; the theorem is on an Elman network whose recurrent matrix alone learns"),
    )
    record.finding(
        "with_steps",
        "Is the task learned when its steps are written out?",
        "agrees" if learned else "inconclusive",
        f"{accuracy.value:.3f} of unseen inputs are answered right on the network's own steps.",
        predicted=Estimate(value=1.0, method="learnable with steps"),
        measured=accuracy,
        assumptions=(near,),
        advice="" if learned else "Give more updates, or watch the accuracy per step for the one that lags.",
    )


def _conclude_without(record: Recorder, config: CompareConfig, task: Task | None, trials: Sequence[Trial]) -> None:
    """Concludes on the arm without steps: does it stay at the accuracy of the most common answer?"""
    accuracy, chance = _accuracy(trials), trials[0].chance
    record.value("accuracy_without_steps", accuracy.value)
    record.value("chance", chance)
    seen = config.updates * config.optimization.batch
    near = abs(accuracy.value - chance) <= 0.05
    # Of the built-in tasks only a parity says what is hidden.
    bits, subset = (task.inputs, task.facts.get("subset")) if task is not None else (0, None)
    hidden = subset if isinstance(subset, list) else []
    # Seen four times over, all 2^d inputs can be learned by heart; capped, since 2^d of many bits is no float.
    few = bool(hidden) and seen > 4 * 2 ** min(bits, 60)
    counted = f"{seen} rows seen of 2^{bits} inputs; {math.comb(bits, len(hidden))} possible subsets"
    many = Assumption(
        statement="Inputs are too many to be learned by heart.",
        status=("fails" if few else "holds") if hidden else "not checked",
        how=counted if hidden else "",
    )
    record.finding(
        "without_steps",
        "Does the same network fail when it must answer at once?",
        "agrees" if near else ("vacuous" if few else "disagrees"),
        f"{accuracy.value:.3f} of unseen inputs are answered right; a guess is right {chance:.2f}.",
        predicted=Estimate(value=chance, method="no gradient method learns it, for many bits"),
        measured=accuracy,
        assumptions=(many,),
        advice="The task is small enough to be learned by heart: take more bits." if few and not near else "",
    )
