"""How many shots each task needs: predicted from single examples by theory, measured in prompts, side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from seqtant.findings import Assumption, Cell, Estimate, Result, format_number
from seqtant.icl import theory
from seqtant.icl.config import ShotsConfig
from seqtant.icl.scoring.evidence import (
    Separation,
    ShotCurve,
    accumulate,
    bayes_gap,
    first_shots,
    identified_share,
    resample_shots,
    separate,
)
from seqtant.icl.scoring.scores import Components, label_log_probs, score_lines, score_tasks
from seqtant.icl.scoring.study import Study, open_study
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import name_of
from seqtant.stats.intervals import bootstrap

FACTOR = 1.5
"""Predicted and measured shots that differ by no more than this factor agree."""
_SHARE = "% of the tasks"


@dataclass(frozen=True)
class TaskShots:
    """Predictions and measurements of one task."""

    name: str
    separation: Separation
    predicted: Estimate
    measured: Estimate
    mixture: float
    """Shots that the exact mixture of the task's components needs in the same prompts."""
    identification: tuple[float, float]
    """Shots until the task is identified: predicted, and counted over prompts."""
    curve: ShotCurve
    predicted_loss: np.ndarray
    right: np.ndarray
    """Per prompt: whether the label after most shots is right."""
    accuracy: np.ndarray
    plateau: float
    """Accuracy with a many-shot context of the task."""
    gap: np.ndarray
    """Bayes gap after every number of shots, mean over prompts."""
    rarest: float
    """Probability of the rarest token, under any task."""
    margin: float
    """Median margin of the label that the task prefers, the task being known."""
    largest_drift: float
    """Largest absolute drift of a pair of examples across the delimiter under the task, in nats."""
    shift: float
    """Mean drift across the delimiter, task against nearest rival, in nats per example."""

    @property
    def agrees(self) -> bool:
        """Whether prediction and measurement are close, or both lie beyond the prompts."""
        return close(self.predicted.value, self.measured.value)


def close(first: float, second: float) -> bool:
    """Compares two numbers of shots: whether they lie within the factor of each other, or are both infinite.

    Example:
        >>> close(2, 3), close(2, 3.1), close(math.inf, math.inf), close(2, math.inf)
        (True, False, True, False)
    """
    if math.isinf(first) or math.isinf(second):
        return first == second
    return max(first, second) <= FACTOR * min(first, second)


@verb(ShotsConfig)
def shots(config: ShotsConfig, context: Context) -> Result:
    """Predicts from single examples how many shots each task needs, and measures it in prompts.

    Behind many shots of a task the model is that task's component. Under every component, held-out single examples give
    mean mu and variance s^2 of the log-ratio to each rival; after k shots accuracy misses knowing the task by at most
    the sum over rivals of the accuracy lost to each times Phi(-(k mu - prior log-odds) / (sqrt(k) s)). Predicted is the
    smallest k from which on that sum stays below ``eps``. Measured is the smallest k whose accuracy in prompts is
    within ``eps`` of that with a many-shot context. Intervals are bootstraps over examples and prompts.

    Returns:
        ``predicted_shots`` and ``measured_shots`` of the slowest task, the same with ``_NAME`` for each,
        ``tasks_within_factor`` 1.5, the constants ``c1``, ``c2``, ``c3`` of the lemma, ``shots_paper``, ``bayes_gap``.

    Raises:
        InputError: The model or a task cannot be used.

    Example:
        >>> COLORS = ("red", "blue", "black", "white")
        >>> sizes = [(f"{size} {color} cat", size) for size in ("big", "small") for color in COLORS]
        >>> colors = [(text, text.split()[1]) for text, _ in sizes]
        >>> few = {"shots": 1, "prompts": 2, "contexts": 1, "context_shots": 1, "resamples": 2, "device": "cpu"}
        >>> result = shots("reference", {"size": sizes, "color": colors}, **few)
        >>> result.values["measured_shots"] >= 0
        True
    """
    title = f"Shots that tasks need from {name_of(config.model)}"
    with Recorder("icl.shots", title, config, context, papers=(4,)) as record:
        study = open_study(config, context, record)
        how: dict[str, Any] = {"tokens_per_batch": config.tokens_per_batch, "progress": context.progress}
        asked = [
            (task, [*split.single, *(example for prompt in split.prompts for example in prompt)])
            for task, split in zip(study.tasks, study.splits, strict=True)
        ]
        scores = score_tasks(study.encoder, study.contexts, asked, **how)
        drifts = _drifts(config, study)
        found = [
            _measure_task(config, context, study, number, scores[number], drifts[number])
            for number in range(len(study.tasks))
        ]
        record.value("predicted_shots", max(task.predicted.value for task in found))
        record.value("measured_shots", max(task.measured.value for task in found))
        for task in found:
            record.value(f"predicted_shots_{task.name}", task.predicted.value)
            record.value(f"measured_shots_{task.name}", task.measured.value)
        record.value("tasks_within_factor", sum(task.agrees for task in found) / len(found))
        # The constants of Lemma 1 as measured: c1 from the largest drift, c2 from the rarest token, c3 from the prior.
        c1 = math.exp(-max(task.largest_drift for task in found))
        c2 = min(task.rarest for task in found)
        divergence = min(float(task.separation.divergences.min()) for task in found)
        record.value("c1", c1)
        record.value("c2", c2)
        record.value("c3", float(np.exp(study.log_prior.min())))
        record.value("smallest_divergence", divergence)
        record.value("bayes_gap", float(np.mean([task.gap[-1] for task in found])))
        length = max(
            len(example.ids)
            for task, split in zip(study.tasks, study.splits, strict=True)
            for example in study.encoder.encode_examples(task, split.single)
        )
        if divergence > 0 and c2 < 1:
            bound = theory.lemma1(min(c1, 1.0), c2, length, divergence, config.eps, config.delta)
            record.value("shots_paper", bound.shots)
            record.value("threshold", bound.threshold)
        _record_tables(record, study, found)
        for task in found:
            for shots in range(len(task.accuracy)):
                row: dict[str, Any] = {"step": float(shots), "group": task.name}
                lines = (task.accuracy, task.curve.mean, task.curve.error, task.predicted_loss.clip(max=1.0))
                for key, line in zip(("accuracy", "loss", "loss_error", "predicted_loss"), lines, strict=True):
                    record.measure(key, float(line[shots]), **row)
                record.measure("bayes_gap", float(task.gap[shots]), unit="nats", **row)
            record.items("accuracy_after_examples", task.right, kind=f"{task.name} prompt")
        _record_findings(record, config, study, found)
    return record.result


def _drifts(config: ShotsConfig, study: Study) -> list[Float[np.ndarray, "tasks pairs"]]:
    """Scores drift log P(first) + log P(second) - log P(both) of pairs of each task's examples, in nats.

    After each task's first context; 0 where examples are independent given the task.
    """
    lines, pairs = [], []
    for task, split in zip(study.tasks, study.splits, strict=True):
        ids = [list(example.ids) for example in study.encoder.encode_examples(task, split.single)]
        # Neighboring pairs share examples, which are the beginnings of pairs too: each line is a number, scored once.
        begin, count = len(lines), min(config.pairs, len(ids))
        lines += ids[: count + 1] + [ids[index] + ids[(index + 1) % len(ids)] for index in range(count)]
        pairs.append((begin, count, len(ids)))
    first = [own[0] for own in study.contexts]
    totals = score_lines(study.model, first, lines, tokens_per_batch=config.tokens_per_batch)  # [tasks, lines]
    found = []
    for begin, count, examples in pairs:
        one = begin + np.arange(count)
        both = begin + min(count + 1, examples) + np.arange(count)
        found.append(totals[:, one] + totals[:, begin + (np.arange(count) + 1) % examples] - totals[:, both])
    return found


def _measure_task(
    config: ShotsConfig,
    context: Context,
    study: Study,
    number: int,
    scores: Components,
    drift: Float[np.ndarray, "tasks pairs"],
) -> TaskShots:
    task, split = study.tasks[number], study.splits[number]
    queries = [example for prompt in split.prompts for example in prompt]
    how: dict[str, Any] = {"tokens_per_batch": config.tokens_per_batch, "progress": context.progress}
    single, prompted = scores.split(len(split.single))
    encoded = study.encoder.encode_prompts([task] * len(split.prompts), split.prompts)
    log_probs = label_log_probs(study.model, encoded, **how)  # [prompts, queries, labels]
    labels = study.label_numbers(queries).reshape(log_probs.shape[:2])
    right = log_probs.argmax(axis=2) == labels
    # The plateau: the same queries asked with the task known, after its many-shot contexts instead of the prompt.
    known = prompted.labels[number].argmax(axis=1).reshape(labels.shape) == labels
    log_posterior = accumulate(prompted, study.log_prior, len(split.prompts))
    # The mixture of tasks predicts each label, the query's own input counted as evidence too.
    joint = log_posterior + prompted.inputs.reshape(log_posterior.shape)
    joint = joint - np.logaddexp.reduce(joint, axis=0)
    mixture = np.exp(np.logaddexp.reduce(joint[..., None] + prompted.labels.reshape(*joint.shape, -1), axis=0))
    separation = separate(single, number, study.label_numbers(split.single), study.log_prior)
    curve = ShotCurve(known.astype(float) - right)
    # One generator: predictions are resampled over examples first, then measurements over prompts.
    generator = np.random.default_rng([context.seed, number])
    predicted, measured = (
        resample_shots(partial(count, config.eps), size, config.resamples, generator)
        for count, size in ((separation.accuracy_shots, len(split.single)), (curve.shots, len(curve.losses)))
    )
    identified = identified_share(np.exp(log_posterior[number]), config.eps)
    rival = separation.rivals[separation.nearest]
    ordered = np.sort(np.exp(single.labels[number]), axis=1)
    return TaskShots(
        name=task.name,
        separation=separation,
        predicted=predicted,
        measured=measured,
        mixture=ShotCurve(known.astype(float) - (mixture.argmax(axis=2) == labels)).shots(config.eps),
        identification=(
            separation.identification_shots(config.eps, config.delta),
            first_shots(identified, 1 - config.delta),
        ),
        curve=curve,
        predicted_loss=theory.expected_loss(range(log_probs.shape[1]), *separation.moments()),
        right=right[:, -1],
        accuracy=right.mean(axis=0),
        plateau=float(known.mean()),
        gap=bayes_gap(mixture, log_probs).mean(axis=0),
        rarest=float(np.exp(scores.rarest.min())),
        margin=float(np.median(ordered[:, -1] - ordered[:, -2])),
        largest_drift=float(np.abs(drift[number]).max()),
        shift=float(drift[number].mean() - drift[rival].mean()),
    )


def _record_tables(record: Recorder, study: Study, found: list[TaskShots]) -> None:
    rows: list[tuple[Cell, ...]] = []
    identification: list[tuple[Cell, ...]] = []
    for task in found:
        separation, nearest = task.separation, task.separation.nearest
        nats = [float(each[:, nearest].mean()) for each in (separation.ratios, separation.input_ratios)]
        numbers = [round(each, 2) for each in (*nats, task.shift, task.margin)]
        shots: list[str] = []
        for each in (task.predicted, task.measured):
            low, high = (format_number(each.value if end is None else end) for end in (each.low, each.high))
            shots.append(format_number(each.value) + ("" if low == high else f" [{low}, {high}]"))
        rival = study.tasks[separation.rivals[nearest]].name
        rows.append((task.name, rival, *numbers, *shots, "yes" if task.agrees else "no"))
        predicted, counted = task.identification
        times = (format_number(round(predicted, 1)), format_number(counted))
        accuracies = (task.accuracy[0], task.accuracy[-1], task.plateau, task.gap[-1])
        shown = [round(float(value), 3) for value in accuracies]
        identification.append((task.name, *times, *shown, format_number(task.mixture)))
    record.table(
        "shots",
        "Shots until accuracy is within reach of the plateau",
        ("task", "rival", "KL", "inputs", "drift", "margin", "predicted", "measured", "agree"),
        rows,
        note="KL in nats per example against the nearest rival, and what of it inputs carry; drift across the "
        f"delimiter. Agree: within a factor {FACTOR:g}.",
    )
    record.table(
        "identification",
        "Shots until the task is identified, and what is gained",
        ("task", "predicted", "counted", "no shot", "most shots", "plateau", "Bayes gap", "mixture"),
        identification,
        note="No shot, most shots, plateau: accuracy. Bayes gap: KL(mixture of tasks || model) of the label after most "
        "shots, in nats. Mixture: shots that the exact mixture of the components needs in the same prompts.",
    )


def _record_findings(record: Recorder, config: ShotsConfig, study: Study, found: list[TaskShots]) -> None:
    agreeing = sum(task.agrees for task in found)
    record.finding(
        "within_factor",
        f"Are predicted and measured shots within a factor {FACTOR:g}?",
        "agrees" if agreeing >= 0.8 * len(found) else "disagrees",
        f"For {agreeing} of {len(found)} tasks; the slowest needs "
        f"{format_number(max(task.measured.value for task in found))} shots.",
        predicted=Estimate(value=80.0, low=80.0, method="wanted at least", unit=_SHARE),
        measured=Estimate(value=100.0 * agreeing / len(found), method="count", n=len(found), unit=_SHARE),
    )
    for task in found:
        predicted, measured = format_number(task.predicted.value), format_number(task.measured.value)
        reached, advice = not math.isinf(task.measured.value), ""
        if reached:
            summary = (
                f"{measured} measured, {predicted} predicted; accuracy goes from {task.accuracy[0]:.2f} to "
                f"{task.accuracy[-1]:.2f}, with a many-shot context {task.plateau:.2f}."
            )
        else:
            summary = (
                f"More than the {study.shots} shots that were tried: accuracy is {task.accuracy[-1]:.2f} after the "
                f"last, {task.plateau:.2f} with a many-shot context; {predicted} were predicted."
            )
        # Where both disagree the exact mixture tells whose fault it is: the model's, or the two moments' of theory.
        if not task.agrees and close(task.predicted.value, task.mixture):
            advice = (
                f"The exact mixture of the model's own components needs {format_number(task.mixture)} shots in the "
                "same prompts, as predicted: in prompts the model departs from the mixture. Trust the measurement."
            )
        elif not task.agrees:
            advice = (
                f"The exact mixture of the components needs {format_number(task.mixture)} shots in the same prompts: "
                "means and variances of single examples do not tell enough. Give more examples."
            )
        # Drift is judged beside the evidence that it would take away or fake.
        ratios, drift, gap = task.separation.ratios[:, task.separation.nearest], task.shift, task.gap[-1]
        evidence = bootstrap(np.mean, ratios, generator=np.random.default_rng(0), resamples=config.resamples)
        separated, small = (evidence.low or 0) > 0, abs(drift) < 0.25 * abs(evidence.value)
        told = f"{evidence.number} nats per example {evidence.interval}"
        beside = f"mean drift {drift:.2f} nats per example beside {evidence.value:.2f}"
        checks = (
            (separated, "Single examples tell the task from its nearest rival.", told),
            (small, "Examples are independent across the delimiter, given the task.", beside),
            (
                gap < 0.1,
                "The model behaves as the mixture of its tasks.",
                f"Bayes gap {gap:.3f} nats per label after {study.shots} shots",
            ),
        )
        record.finding(
            f"shots_{task.name}",
            f"How many shots does '{task.name}' need?",
            ("agrees" if task.agrees else "disagrees") if reached else "inconclusive",
            summary,
            predicted=task.predicted,
            measured=task.measured,
            assumptions=tuple(
                Assumption(statement=text, status="holds" if ok else "fails", how=how) for ok, text, how in checks
            ),
            advice=advice,
        )
