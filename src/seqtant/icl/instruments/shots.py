"""How many shots each task needs: predicted from single examples by theory, measured in prompts, side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seqtant.findings import Assumption, Estimate, Result, format_number
from seqtant.icl import theory
from seqtant.icl.components import Components, score_components, score_lines
from seqtant.icl.config import ShotsConfig
from seqtant.icl.evidence import Separation, bayes_gap, gather, separation
from seqtant.icl.scoring import label_log_probs
from seqtant.icl.shot_curves import ShotCurve, first_shots, identified_share, resampled
from seqtant.icl.study import Study, open_study
from seqtant.lm.folder import name_of
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.bootstrap import bootstrap

FACTOR = 1.5
_SHARE = "% of the tasks"
"""Predicted and measured shots that differ by no more than this factor agree."""


@dataclass(frozen=True)
class TaskShots:
    """What was found out about one task."""

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
    gap: np.ndarray
    """Bayes gap after every number of shots, mean over prompts."""
    rarest: float
    """Probability of the rarest token, under any task."""
    margin: float
    """Median margin of the label that the task prefers, the task being known."""
    drift: tuple[np.ndarray, np.ndarray]
    """Per pair of examples: drift across the delimiter under the task, and mean drift under each rival."""

    @property
    def agrees(self) -> bool:
        """Whether prediction and measurement lie within a factor 1.5, or both lie beyond the prompts."""
        return _close(self.predicted.value, self.measured.value)


def _close(first: float, second: float) -> bool:
    if math.isinf(first) or math.isinf(second):
        return first == second
    return max(first, second) <= FACTOR * min(first, second)


def run(config: ShotsConfig, context: Context) -> Result:
    """Predicts and measures for every task.

    Raises:
        InputError: The model or a task cannot be used.
    """
    title = f"Shots that tasks need from {name_of(config.model)}"
    with Recorder("icl.shots", title, config, context, papers=(4,)) as record:
        study = open_study(config, context, record)
        found = [_study_task(config, context, study, number) for number in range(len(study.tasks))]
        _values(record, config, study, found)
        _tables(record, study, found)
        _findings(record, config, study, found)
    return record.result


def _study_task(config: ShotsConfig, context: Context, study: Study, number: int) -> TaskShots:
    task, dealt = study.tasks[number], study.dealt[number]
    queries = [example for prompt in dealt.prompts for example in prompt]
    scores = score_components(
        study.encoder,
        study.contexts,
        task,
        [*dealt.measured, *queries],
        tokens_per_batch=config.tokens_per_batch,
        progress=context.progress,
    )
    single, prompted = _split(scores, len(dealt.measured))
    found = separation(single, number, study.label_numbers(dealt.measured), study.log_prior)
    rows = study.encoder.encode_prompts([task] * len(dealt.prompts), dealt.prompts)
    said = label_log_probs(study.model, rows, tokens_per_batch=config.tokens_per_batch, progress=context.progress)
    shape = said.shape[:2]
    labels = study.label_numbers(queries).reshape(shape)
    right = said.argmax(axis=2) == labels
    known = prompted.labels[number].argmax(axis=1).reshape(shape) == labels
    gathered = gather(prompted, study.log_prior, len(dealt.prompts))
    curve = ShotCurve(known.astype(float) - right)
    mixed = gathered.predicted(prompted)
    generator = np.random.default_rng([context.seed, number])
    return TaskShots(
        name=task.name,
        separation=found,
        predicted=resampled(
            lambda chosen: found.accuracy_shots(config.eps, chosen),
            len(dealt.measured),
            found.accuracy_shots(config.eps),
            config.resamples,
            generator,
        ),
        measured=resampled(
            lambda chosen: curve.shots(config.eps, chosen),
            len(right),
            curve.shots(config.eps),
            config.resamples,
            generator,
        ),
        mixture=ShotCurve(known.astype(float) - (mixed.argmax(axis=2) == labels)).shots(config.eps),
        identification=(
            found.identification_shots(config.eps, config.delta),
            first_shots(identified_share(np.exp(gathered.log_posterior[number]), config.eps), 1 - config.delta),
        ),
        curve=curve,
        predicted_loss=found.loss_curve(range(shape[1])),
        right=right[:, -1],
        accuracy=right.mean(axis=0),
        plateau=float(known.mean()),
        gap=bayes_gap(mixed, said).mean(axis=0),
        rarest=float(np.exp(scores.rarest.min())),
        margin=_margin(single.labels[number]),
        drift=_drift(config, study, number),
    )  # fmt: skip


def _split(scores: Components, count: int) -> tuple[Components, Components]:
    names = ("inputs", "labels", "shown", "tails", "rarest")
    halves = ((slice(None, count)), slice(count, None))
    first, second = (Components(*(getattr(scores, name)[:, part] for name in names)) for part in halves)
    return first, second


def _margin(labels: np.ndarray) -> float:
    ordered = np.sort(np.exp(labels), axis=1)
    return float(np.median(ordered[:, -1] - ordered[:, -2]))


def _drift(config: ShotsConfig, study: Study, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Drift log P(first) + log P(second) - log P(both) of pairs of examples, after each task's first context."""
    examples = study.dealt[number].measured
    pairs = [(index, (index + 1) % len(examples)) for index in range(min(config.pairs, len(examples)))]
    encoded = study.encoder.encode_examples(study.tasks[number], examples)
    singles, index = np.unique([pair for both in pairs for pair in both], return_inverse=True)
    lines = [encoded[i].ids for i in singles] + [encoded[a].ids + encoded[b].ids for a, b in pairs]
    scores = score_lines(
        study.model, [own[0] for own in study.contexts], lines, tokens_per_batch=config.tokens_per_batch
    )
    alone = scores[:, : len(singles)][:, index].reshape(len(scores), len(pairs), 2).sum(axis=2)
    lost = alone - scores[:, len(singles) :]
    return lost[number], lost.mean(axis=1)[list(range(number)) + list(range(number + 1, len(lost)))]


def _values(record: Recorder, config: ShotsConfig, study: Study, found: list[TaskShots]) -> None:
    for key, estimates in (
        ("predicted_shots", [t.predicted for t in found]),
        ("measured_shots", [t.measured for t in found]),
    ):
        record.value(key, max(estimate.value for estimate in estimates))
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
    rows = []
    for task in found:
        nearest = int(task.separation.divergences.argmin())
        ratios, inputs = task.separation.ratios[:, nearest], task.separation.input_ratios[:, nearest]
        rows.append(
            (
                task.name,
                study.tasks[task.separation.rivals[nearest]].name,
                round(float(ratios.mean()), 2),
                round(float(inputs.mean()), 2),
                round(float(task.drift[0].mean() - task.drift[1][nearest]), 2),
                round(task.margin, 2),
                _shots_cell(task.predicted),
                _shots_cell(task.measured),
                "yes" if task.agrees else "no",
            )
        )
    record.table(
        "shots",
        "Shots until accuracy is within reach of the plateau",
        ("task", "rival", "KL", "inputs", "drift", "margin", "predicted", "measured", "agree"),
        rows,
        note="KL in nats per example against the nearest rival, and what of it inputs carry; drift across the "
        "delimiter. Agree: within a factor 1.5.",
    )
    record.table(
        "identification",
        "Shots until the task is identified, and what is gained",
        ("task", "predicted", "counted", "no shot", "most shots", "plateau", "Bayes gap", "mixture"),
        [
            (
                task.name,
                format_number(round(task.identification[0], 1)),
                format_number(task.identification[1]),
                *(
                    round(float(value), 3)
                    for value in (task.accuracy[0], task.accuracy[-1], task.plateau, task.gap[-1])
                ),
                format_number(task.mixture),
            )
            for task in found
        ],
        note="No shot, most shots, plateau: accuracy. Bayes gap: KL(mixture of tasks || model) of the label after most "
        "shots, in nats. Mixture: shots that the exact mixture of the components needs in the same prompts.",
    )
    for task in found:
        for shots in range(len(task.accuracy)):
            row = {"step": float(shots), "group": task.name}
            record.measure("accuracy", float(task.accuracy[shots]), **row)
            record.measure("loss", float(task.curve.mean[shots]), **row)
            record.measure("loss_error", float(task.curve.error[shots]), **row)
            record.measure("predicted_loss", float(min(1.0, task.predicted_loss[shots])), **row)
            record.measure("bayes_gap", float(task.gap[shots]), unit="nats", **row)
        record.items("accuracy_after_examples", task.right, kind=f"{task.name} prompt")


def _shots_cell(estimate: Estimate) -> str:
    low, high = (format_number(end if end is not None else estimate.value) for end in (estimate.low, estimate.high))
    return format_number(estimate.value) + ("" if low == high else f" [{low}, {high}]")


def _findings(record: Recorder, config: ShotsConfig, study: Study, found: list[TaskShots]) -> None:
    close = sum(task.agrees for task in found)
    record.finding(
        "within_factor",
        "Are predicted and measured shots within a factor 1.5?",
        "agrees" if close >= 0.8 * len(found) else "disagrees",
        f"For {close} of {len(found)} tasks; the slowest needs "
        f"{format_number(max(task.measured.value for task in found))} shots.",
        predicted=Estimate(value=80.0, low=80.0, method="wanted at least", unit=_SHARE),
        measured=Estimate(value=100.0 * close / len(found), method="count", n=len(found), unit=_SHARE),
    )
    for task in found:
        divergence = task.separation.ratios[:, int(task.separation.divergences.argmin())]
        silent = math.isinf(task.measured.value)
        record.finding(
            f"shots_{task.name}",
            f"How many shots does '{task.name}' need?",
            "inconclusive" if silent else ("agrees" if task.agrees else "disagrees"),
            _summary(task, study),
            predicted=task.predicted,
            measured=task.measured,
            assumptions=_assumptions(task, divergence, study, config),
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


def _assumptions(task: TaskShots, ratios: np.ndarray, study: Study, config: ShotsConfig) -> tuple[Assumption, ...]:
    shift = float(task.drift[0].mean() - task.drift[1][int(task.separation.divergences.argmin())])
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
    if _close(task.predicted.value, task.mixture):
        return (
            f"The exact mixture of the model's own components needs {format_number(task.mixture)} shots in the same "
            "prompts, as predicted: in prompts the model departs from the mixture. Trust the measurement."
        )
    return (
        f"The exact mixture of the components needs {format_number(task.mixture)} shots in the same prompts: means and "
        "variances of single examples do not tell enough. Give more examples."
    )
