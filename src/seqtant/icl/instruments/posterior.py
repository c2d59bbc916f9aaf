"""Which task the model takes a prompt for, shot by shot: evidence added up, and read off the model's own answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Assumption, Estimate, Result
from seqtant.icl.config import PosteriorConfig
from seqtant.icl.prompts.task_files import read_shots
from seqtant.icl.prompts.tasks import Example
from seqtant.icl.scoring.components import labels_behind, score_components
from seqtant.icl.scoring.evidence import gather
from seqtant.icl.scoring.study import Study, open_study
from seqtant.icl.scoring.task_inference import task_weights
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import clustered_mean, mean, overlap, share

READ_AT = (0, 1, 2, 4, 8, 16, 32)
"""Numbers of shots after which answers are read."""
READ = 8
"""Prompts per task whose answers are read."""


def run(config: PosteriorConfig, context: Context) -> Result:
    """Follows one given prompt, or prompts of every task.

    Raises:
        InputError: The model, a task or the prompt cannot be used.
    """
    title = f"Tasks that {config.model} takes prompts for"
    with Recorder("icl.posterior", title, config, context, papers=(4,)) as record:
        study = open_study(config, context, record)
        if config.prompt is not None:
            _one(record, config, study, read_shots(config.prompt))
        else:
            _every(record, config, study)
    return record.result


def _one(record: Recorder, config: PosteriorConfig, study: Study, shots: Sequence[Example]) -> None:
    strange = [shot.label for shot in shots if shot.label not in study.encoder.labels]
    if strange:
        known = ", ".join(study.encoder.labels)
        raise InputError(f"'{config.prompt}': label {strange[0]!r} belongs to no task: known are {known}")
    # A last example that is never counted: the posterior after every shot is wanted, the last one included.
    scores = score_components(study.encoder, study.contexts, study.tasks[0], [*shots, shots[-1]])
    posterior = np.exp(gather(scores, study.log_prior, 1).log_posterior[:, 0])
    names = [task.name for task in study.tasks]
    for number, column in enumerate(posterior.T):
        for name, weight in zip(names, column, strict=True):
            record.measure("posterior", float(weight), step=float(number), group=name)
    rows = [
        (number, shots[number - 1].input[:40] if number else "", shots[number - 1].label if number else "",
         *(round(float(weight), 3) for weight in column))
        for number, column in enumerate(posterior.T)
    ]  # fmt: skip
    record.table("posterior", "Posterior of the tasks, shot by shot", ("shots", "input", "label", *names), rows)
    best = int(posterior[:, -1].argmax())
    record.value("posterior", float(posterior[best, -1]))
    record.finding(
        "task",
        "Which task does the prompt show?",
        "agrees" if posterior[best, -1] >= 1 - config.stuck else "inconclusive",
        f"'{names[best]}', with posterior {posterior[best, -1]:.3f} after {len(shots)} shots.",
        predicted=Estimate(value=float(posterior[best, -1]), method="evidence of single examples, added up"),
    )


@dataclass(frozen=True)
class _Followed:
    """What prompts of one task gathered."""

    name: str
    predicted: Estimate
    """Log-odds per example against the nearest rival, from single examples."""
    slope: Estimate
    """The same in prompts."""
    weights: np.ndarray
    """Posterior of the task, (prompts, shots)."""
    read: np.ndarray
    """Its weight in the model's answers, (prompts, numbers of shots)."""

    def difference(self, places: list[int]) -> float:
        """Mean absolute difference of the two."""
        return float(np.abs(self.read - self.weights[: len(self.read), places]).mean())


def _every(record: Recorder, config: PosteriorConfig, study: Study) -> None:
    found = [_follow(config, study, number) for number in range(len(study.tasks))]
    for each in found:
        _curves(record, each, _places(study))
    _report(record, config, study, found)


def _follow(config: PosteriorConfig, study: Study, number: int) -> _Followed:
    task, dealt = study.tasks[number], study.dealt[number]
    examples = [*dealt.measured, *(example for prompt in dealt.prompts for example in prompt)]
    scores = score_components(study.encoder, study.contexts, task, examples, tokens_per_batch=config.tokens_per_batch)
    single, prompted = scores.split(len(dealt.measured))
    rival = single.nearest_rival(number)
    steps = (prompted.whole[number] - prompted.whole[rival]).reshape(len(dealt.prompts), -1)[:, :-1]
    owner = np.repeat(np.arange(len(steps)), steps.shape[1])
    return _Followed(
        task.name,
        mean(single.whole[number] - single.whole[rival], unit="nats per shot"),
        clustered_mean(steps.ravel(), owner, unit="nats per shot"),
        np.exp(gather(prompted, study.log_prior, len(dealt.prompts)).log_posterior[number]),
        _read(config, study, number),
    )


def _places(study: Study) -> list[int]:
    return [shots for shots in READ_AT if shots <= study.shots]


def _read(config: PosteriorConfig, study: Study, number: int) -> np.ndarray:
    """Weight of the true task in the model's answers, (prompts, numbers of shots)."""
    task, dealt = study.tasks[number], study.dealt[number]
    probes = list(dict.fromkeys(dealt.measured))[: config.probes]
    encoded = study.encoder.encode_examples(task, probes)
    alone = score_components(
        study.encoder, study.contexts, task, probes, tokens_per_batch=config.tokens_per_batch
    ).labels
    found = []
    for prompt in dealt.prompts[:READ]:
        prefixes = [study.encoder.encode_context(task, prompt[:shots]) for shots in _places(study)]
        said = labels_behind(study.model, prefixes, encoded, tokens_per_batch=config.tokens_per_batch)
        found.append([task_weights(line, alone)[number] for line in said])
    return np.array(found)


def _curves(record: Recorder, each: _Followed, places: list[int]) -> None:
    for shots, column in enumerate(each.weights.T):
        for key, value in (("posterior", column.mean()), ("posterior_low", np.quantile(column, 0.05))):
            record.measure(key, float(value), step=float(shots), group=each.name)
    for shots, column in zip(places, each.read.T, strict=True):
        record.measure("posterior_read", float(column.mean()), step=float(shots), group=each.name)


def _report(record: Recorder, config: PosteriorConfig, study: Study, followed: list[_Followed]) -> None:
    last = [each.weights[:, -1] for each in followed]
    stuck, total = sum(int((weights < config.stuck).sum()) for weights in last), sum(map(len, last))
    agreed = sum(overlap(each.slope, each.predicted) for each in followed)
    difference = float(np.mean([each.difference(_places(study)) for each in followed]))
    rows = [
        (
            each.name,
            round(each.predicted.value, 2),
            round(each.slope.value, 2),
            round(float(weights.mean()), 3),
            round(float(np.quantile(weights, 0.05)), 3),
            int((weights < config.stuck).sum()),
            round(float(each.read[:, -1].mean()), 3),
        )
        for each, weights in zip(followed, last, strict=True)
    ]
    record.table(
        "tasks",
        f"Posterior of the true task after {study.shots} shots",
        ("task", "predicted", "measured", "posterior", "worst 5 %", "stuck", "in answers"),
        rows,
        note="Predicted, measured: nats per shot against the nearest rival. In answers: weight of the task in the "
        f"mixture that explains the model's answers. Stuck: prompts with a posterior below {config.stuck:g}.",
    )
    found = share(stuck, total)
    record.value("stuck", found.value)
    record.value("slopes_as_predicted", agreed / len(study.tasks))
    record.value("answers_differ", difference)
    record.finding(
        "concentrates",
        "Does evidence for the true task grow per shot as single examples say?",
        "agrees" if agreed >= 0.8 * len(study.tasks) else "disagrees",
        f"For {agreed} of {len(study.tasks)} tasks the intervals overlap.",
        predicted=Estimate(value=0.8, low=0.8, method="wanted at least"),
        measured=Estimate(value=agreed / len(study.tasks), method="share of tasks", n=len(study.tasks)),
    )
    record.finding(
        "stuck",
        "How many prompts stay with a wrong task?",
        "agrees" if found.value <= 0.05 else "disagrees",
        f"{stuck} of {total} after {study.shots} shots.",
        predicted=Estimate(value=0.05, high=0.05, method="wanted at most"),
        measured=found,
        advice="" if found.value <= 0.05 else "Give more shots, or examples whose inputs tell the task.",
    )
    record.finding(
        "answers",
        "Do the model's answers show the posterior that its evidence implies?",
        "agrees" if difference < 0.15 else "disagrees",
        f"Weights read off its answers to {config.probes} inputs differ by {difference:.2f} on average.",
        predicted=Estimate.exact(0.0, method="a mixture of the tasks"),
        measured=Estimate(value=difference, method="mean absolute difference", n=min(READ, config.prompts)),
        assumptions=(Assumption(statement="The inputs asked tell the tasks apart."),),
    )
