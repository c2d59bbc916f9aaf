"""Which task the model takes a prompt for, shot by shot: evidence added up, and inferred from the model's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Assumption, Estimate, Result
from seqtant.icl.config import PosteriorConfig
from seqtant.icl.prompts.tasks import Example, read_prompt
from seqtant.icl.scoring.evidence import accumulate, task_weights
from seqtant.icl.scoring.scores import label_log_probs_after, score_components
from seqtant.icl.scoring.study import Study, open_study
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import is_path, name_of
from seqtant.stats.intervals import clustered_mean, mean, overlap, share

PROBED_SHOTS = (0, 1, 2, 4, 8, 16, 32)
"""Numbers of shots after which the task is inferred from answers."""
PROBED_PROMPTS = 8
"""Prompts per task for which it is."""


@dataclass(frozen=True)
class TaskPosterior:
    """Measurements of prompts of one task."""

    name: str
    predicted: Estimate
    """Log-odds per example against the nearest rival, from single examples."""
    slope: Estimate
    """The same in prompts."""
    weights: np.ndarray
    """Posterior of the task by evidence, (prompts, shots)."""
    in_answers: np.ndarray
    """Weight of the task in the model's answers, (prompts, numbers of shots)."""


@verb(PosteriorConfig)
def posterior(config: PosteriorConfig, context: Context) -> Result:
    """Infers which task the model takes a prompt for, shot by shot.

    By evidence, the posterior after some shots is the prior times the product of the shots' probabilities under each
    task's component, P(task | shots) ~ P(task) prod_i P(shot_i | task). Beside it, and independently, stand the weights
    of the tasks in the mixture of their answers that comes nearest to the model's own answers.

    Returns:
        With a ``prompt`` the ``posterior`` of its likeliest task, and a row per shot and task; else the share ``stuck``
        of prompts on a wrong task, ``slopes_as_predicted`` and how far the ``answers_differ`` from the evidence.

    Raises:
        InputError: The model, a task or the prompt cannot be used.

    Example:
        >>> prompt = [("big red cat", "big"), ("small blue dog", "small")]
        >>> few = {"shots": 1, "prompts": 2, "contexts": 1, "context_shots": 6, "examples": 2, "device": "cpu"}
        >>> result = posterior("reference", ["size", "color"], prompt, **few)
        >>> result.findings[0].summary.split(",")[0]
        "'size'"
    """
    title = f"Tasks that {name_of(config.model)} takes prompts for"
    with Recorder("icl.posterior", title, config, context, papers=(4,)) as record:
        study = open_study(config, context, record)
        if config.prompt is not None:
            _record_given_prompt(record, config, study, read_prompt(config.prompt))
        else:
            places = [shots for shots in PROBED_SHOTS if shots <= study.shots]
            found = [_measure_task(config, study, number, places) for number in range(len(study.tasks))]
            for each in found:
                for shots, column in enumerate(each.weights.T):
                    for key, value in (("posterior", column.mean()), ("posterior_low", np.quantile(column, 0.05))):
                        record.measure(key, float(value), step=float(shots), group=each.name)
                for shots, column in zip(places, each.in_answers.T, strict=True):
                    record.measure("posterior_read", float(column.mean()), step=float(shots), group=each.name)
            _record_tasks(record, config, study, found, places)
    return record.result


def _record_given_prompt(record: Recorder, config: PosteriorConfig, study: Study, shots: Sequence[Example]) -> None:
    strange = [shot.label for shot in shots if shot.label not in study.encoder.labels]
    if strange:
        known = ", ".join(study.encoder.labels)
        place = f"'{config.prompt}'" if is_path(config.prompt) else "prompt"
        raise InputError(f"{place}: label {strange[0]!r} belongs to no task: known are {known}")
    # The posterior before each example is accumulated: one more example, never counted, gives it after the last.
    scores = score_components(study.encoder, study.contexts, study.tasks[0], [*shots, shots[-1]])
    posterior = np.exp(accumulate(scores, study.log_prior, 1)[:, 0])  # [tasks, shots + 1]
    names = [task.name for task in study.tasks]
    rows = []
    for number, column in enumerate(posterior.T):
        for name, weight in zip(names, column, strict=True):
            record.measure("posterior", float(weight), step=float(number), group=name)
        shown = (shots[number - 1].input[:40], shots[number - 1].label) if number else ("", "")
        rows.append((number, *shown, *(round(float(weight), 3) for weight in column)))
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


def _measure_task(config: PosteriorConfig, study: Study, number: int, places: list[int]) -> TaskPosterior:
    task, split, encoder = study.tasks[number], study.splits[number], study.encoder
    examples = [*split.single, *(example for prompt in split.prompts for example in prompt)]
    scores = score_components(encoder, study.contexts, task, examples, tokens_per_batch=config.tokens_per_batch)
    single, prompted = scores.split(len(split.single))
    rival = single.nearest_rival(number)
    # The last example of a prompt is its query and no evidence.
    steps = (prompted.whole[number] - prompted.whole[rival]).reshape(len(split.prompts), -1)[:, :-1]
    owner = np.repeat(np.arange(len(steps)), steps.shape[1])

    # The task in the answers: which mixture of the tasks' own answers to some inputs is nearest to the model's.
    probes = list(dict.fromkeys(split.single))[: config.probes]
    encoded = encoder.encode_examples(task, probes)
    alone = score_components(encoder, study.contexts, task, probes, tokens_per_batch=config.tokens_per_batch).labels
    in_answers = []
    for prompt in split.prompts[:PROBED_PROMPTS]:
        contexts = [encoder.encode_context(task, prompt[:shots]) for shots in places]
        answers = label_log_probs_after(study.model, contexts, encoded, tokens_per_batch=config.tokens_per_batch)
        in_answers.append([task_weights(log_probs, alone)[number] for log_probs in answers])
    return TaskPosterior(
        task.name,
        mean(single.whole[number] - single.whole[rival], unit="nats per shot"),
        clustered_mean(steps.ravel(), owner, unit="nats per shot"),
        np.exp(accumulate(prompted, study.log_prior, len(split.prompts))[number]),
        np.array(in_answers),
    )


def _record_tasks(
    record: Recorder, config: PosteriorConfig, study: Study, found: list[TaskPosterior], places: list[int]
) -> None:
    # Stuck: prompts that still prefer a rival after all their shots.
    last = [each.weights[:, -1] for each in found]
    stuck, total = sum(int((weights < config.stuck).sum()) for weights in last), sum(map(len, last))
    agreed = sum(overlap(each.slope, each.predicted) for each in found)
    differences = [np.abs(each.in_answers - each.weights[: len(each.in_answers), places]).mean() for each in found]
    difference = float(np.mean(differences))
    rows = [
        (
            each.name,
            round(each.predicted.value, 2),
            round(each.slope.value, 2),
            round(float(weights.mean()), 3),
            round(float(np.quantile(weights, 0.05)), 3),
            int((weights < config.stuck).sum()),
            round(float(each.in_answers[:, -1].mean()), 3),
        )
        for each, weights in zip(found, last, strict=True)
    ]
    record.table(
        "tasks",
        f"Posterior of the true task after {study.shots} shots",
        ("task", "predicted", "measured", "posterior", "worst 5 %", "stuck", "in answers"),
        rows,
        note="Predicted, measured: nats per shot against the nearest rival. In answers: weight of the task in the "
        f"mixture that explains the model's answers. Stuck: prompts with a posterior below {config.stuck:g}.",
    )
    rate = share(stuck, total)
    record.value("stuck", rate.value)
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
        "agrees" if rate.value <= 0.05 else "disagrees",
        f"{stuck} of {total} after {study.shots} shots.",
        predicted=Estimate(value=0.05, high=0.05, method="wanted at most"),
        measured=rate,
        advice="" if rate.value <= 0.05 else "Give more shots, or examples whose inputs tell the task.",
    )
    record.finding(
        "answers",
        "Do the model's answers show the posterior that its evidence implies?",
        "agrees" if difference < 0.15 else "disagrees",
        f"Weights read off its answers to {config.probes} inputs differ by {difference:.2f} on average.",
        predicted=Estimate.exact(0.0, method="a mixture of the tasks"),
        measured=Estimate(value=difference, method="mean absolute difference", n=min(PROBED_PROMPTS, config.prompts)),
        assumptions=(Assumption(statement="The inputs asked tell the tasks apart."),),
    )
