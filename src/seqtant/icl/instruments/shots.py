"""How many shots each task needs: predicted from single examples by theory, measured in prompts, side by side."""

from __future__ import annotations

import math

import numpy as np

from seqtant.findings import Assumption, Cell, Estimate, Result, format_number
from seqtant.icl import theory
from seqtant.icl.config import ShotsConfig
from seqtant.icl.scoring.study import Study, open_study
from seqtant.icl.scoring.task_shots import FACTOR, TaskShots, close, study_task
from seqtant.lm.folder import name_of
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.bootstrap import bootstrap

_SHARE = "% of the tasks"


def run(config: ShotsConfig, context: Context) -> Result:
    """Predicts and measures for every task.

    Raises:
        InputError: The model or a task cannot be used.
    """
    title = f"Shots that tasks need from {name_of(config.model)}"
    with Recorder("icl.shots", title, config, context, papers=(4,)) as record:
        study = open_study(config, context, record)
        found = [study_task(config, context, study, number) for number in range(len(study.tasks))]
        _values(record, config, study, found)
        _tables(record, study, found)
        for task in found:
            _curves(record, task)
        _findings(record, config, study, found)
    return record.result


def _values(record: Recorder, config: ShotsConfig, study: Study, found: list[TaskShots]) -> None:
    record.value("predicted_shots", max(task.predicted.value for task in found))
    record.value("measured_shots", max(task.measured.value for task in found))
    for task in found:
        record.value(f"predicted_shots_{task.name}", task.predicted.value)
        record.value(f"measured_shots_{task.name}", task.measured.value)
    record.value("tasks_within_factor", sum(task.agrees for task in found) / len(found))
    c1 = math.exp(-max(float(np.abs(task.drift[0]).max()) for task in found))
    c2 = min(task.rarest for task in found)
    divergence = min(float(task.separation.divergences.min()) for task in found)
    record.value("c1", c1)
    record.value("c2", c2)
    record.value("c3", float(np.exp(study.log_prior.min())))
    record.value("smallest_divergence", divergence)
    record.value("bayes_gap", float(np.mean([task.gap[-1] for task in found])))
    length = max(
        len(example.ids)
        for task, own in zip(study.tasks, study.dealt, strict=True)
        for example in study.encoder.encode_examples(task, own.measured)
    )
    if divergence > 0 and c2 < 1:
        bound = theory.lemma1(min(c1, 1.0), c2, length, divergence, config.eps, config.delta)
        record.value("shots_paper", bound.shots)
        record.value("threshold", bound.threshold)


def _tables(record: Recorder, study: Study, found: list[TaskShots]) -> None:
    record.table(
        "shots",
        "Shots until accuracy is within reach of the plateau",
        ("task", "rival", "KL", "inputs", "drift", "margin", "predicted", "measured", "agree"),
        [_shots_row(task, study) for task in found],
        note="KL in nats per example against the nearest rival, and what of it inputs carry; drift across the "
        f"delimiter. Agree: within a factor {FACTOR:g}.",
    )
    record.table(
        "identification",
        "Shots until the task is identified, and what is gained",
        ("task", "predicted", "counted", "no shot", "most shots", "plateau", "Bayes gap", "mixture"),
        [_identification_row(task) for task in found],
        note="No shot, most shots, plateau: accuracy. Bayes gap: KL(mixture of tasks || model) of the label after most "
        "shots, in nats. Mixture: shots that the exact mixture of the components needs in the same prompts.",
    )


def _shots_row(task: TaskShots, study: Study) -> tuple[Cell, ...]:
    separation, nearest = task.separation, task.nearest
    return (
        task.name,
        study.tasks[separation.rivals[nearest]].name,
        round(float(separation.ratios[:, nearest].mean()), 2),
        round(float(separation.input_ratios[:, nearest].mean()), 2),
        round(_shift(task), 2),
        round(task.margin, 2),
        _shots_cell(task.predicted),
        _shots_cell(task.measured),
        "yes" if task.agrees else "no",
    )


def _identification_row(task: TaskShots) -> tuple[Cell, ...]:
    predicted, counted = task.identification
    accuracies = (task.accuracy[0], task.accuracy[-1], task.plateau, task.gap[-1])
    return (
        task.name,
        format_number(round(predicted, 1)),
        format_number(counted),
        *(round(float(value), 3) for value in accuracies),
        format_number(task.mixture),
    )


def _curves(record: Recorder, task: TaskShots) -> None:
    for shots in range(len(task.accuracy)):
        row = {"step": float(shots), "group": task.name}
        record.measure("accuracy", float(task.accuracy[shots]), **row)
        record.measure("loss", float(task.curve.mean[shots]), **row)
        record.measure("loss_error", float(task.curve.error[shots]), **row)
        record.measure("predicted_loss", float(min(1.0, task.predicted_loss[shots])), **row)
        record.measure("bayes_gap", float(task.gap[shots]), unit="nats", **row)
    record.items("accuracy_after_examples", task.right, kind=f"{task.name} prompt")


def _shift(task: TaskShots) -> float:
    """Mean drift across the delimiter, task against nearest rival, in nats per example."""
    return float(task.drift[0].mean() - task.drift[1][task.nearest])


def _shots_cell(estimate: Estimate) -> str:
    low, high = (format_number(end if end is not None else estimate.value) for end in (estimate.low, estimate.high))
    return format_number(estimate.value) + ("" if low == high else f" [{low}, {high}]")


def _findings(record: Recorder, config: ShotsConfig, study: Study, found: list[TaskShots]) -> None:
    close = sum(task.agrees for task in found)
    record.finding(
        "within_factor",
        f"Are predicted and measured shots within a factor {FACTOR:g}?",
        "agrees" if close >= 0.8 * len(found) else "disagrees",
        f"For {close} of {len(found)} tasks; the slowest needs "
        f"{format_number(max(task.measured.value for task in found))} shots.",
        predicted=Estimate(value=80.0, low=80.0, method="wanted at least", unit=_SHARE),
        measured=Estimate(value=100.0 * close / len(found), method="count", n=len(found), unit=_SHARE),
    )
    for task in found:
        silent = math.isinf(task.measured.value)
        record.finding(
            f"shots_{task.name}",
            f"How many shots does '{task.name}' need?",
            "inconclusive" if silent else ("agrees" if task.agrees else "disagrees"),
            _summary(task, study),
            predicted=task.predicted,
            measured=task.measured,
            assumptions=_assumptions(task, study, config),
            advice=_advice(task),
        )


def _summary(task: TaskShots, study: Study) -> str:
    if math.isinf(task.measured.value):
        return (
            f"More than the {study.shots} shots that were tried: accuracy is {task.accuracy[-1]:.2f} after the last, "
            f"{task.plateau:.2f} with a many-shot context; {format_number(task.predicted.value)} were predicted."
        )
    return (
        f"{format_number(task.measured.value)} measured, {format_number(task.predicted.value)} predicted; accuracy "
        f"goes from {task.accuracy[0]:.2f} to {task.accuracy[-1]:.2f}, with a many-shot context {task.plateau:.2f}."
    )


def _assumptions(task: TaskShots, study: Study, config: ShotsConfig) -> tuple[Assumption, ...]:
    shift = _shift(task)
    ratios = task.separation.ratios[:, task.nearest]
    mean = bootstrap(np.mean, ratios, generator=np.random.default_rng(0), resamples=config.resamples)
    told = mean.low is not None and mean.low > 0
    small = abs(shift) < 0.25 * abs(mean.value)
    return (
        Assumption(
            statement="Single examples tell the task from its nearest rival.",
            status="holds" if told else "fails",
            how=f"{mean.number} nats per example {mean.interval}",
        ),
        Assumption(
            statement="Examples are independent across the delimiter, given the task.",
            status="holds" if small else "fails",
            how=f"mean drift {shift:.2f} nats per example beside {mean.value:.2f}",
        ),
        Assumption(
            statement="The model behaves as the mixture of its tasks.",
            status="holds" if task.gap[-1] < 0.1 else "fails",
            how=f"Bayes gap {task.gap[-1]:.3f} nats per label after {study.shots} shots",
        ),
    )


def _advice(task: TaskShots) -> str:
    if task.agrees:
        return ""
    if close(task.predicted.value, task.mixture):
        return (
            f"The exact mixture of the model's own components needs {format_number(task.mixture)} shots in the same "
            "prompts, as predicted: in prompts the model departs from the mixture. Trust the measurement."
        )
    return (
        f"The exact mixture of the components needs {format_number(task.mixture)} shots in the same prompts: means and "
        "variances of single examples do not tell enough. Give more examples."
    )
