"""How many shots one task needs: predicted from its single examples, and counted in its prompts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqtant.findings import Estimate
from seqtant.icl.config import ShotsConfig
from seqtant.icl.scoring.components import Components, score_components, score_lines
from seqtant.icl.scoring.evidence import Gathered, Separation, bayes_gap, gather, separation
from seqtant.icl.scoring.scoring import label_log_probs
from seqtant.icl.scoring.shot_curves import ShotCurve, first_shots, identified_share, resampled
from seqtant.icl.scoring.study import Study
from seqtant.runs.context import Context

FACTOR = 1.5
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
    def nearest(self) -> int:
        """Place of the nearest rival among the rivals."""
        return int(self.separation.divergences.argmin())

    @property
    def agrees(self) -> bool:
        """Whether prediction and measurement are close, or both lie beyond the prompts."""
        return close(self.predicted.value, self.measured.value)


def close(first: float, second: float) -> bool:
    """Whether two numbers of shots lie within the factor of each other, or are both infinite.

    Example:
        >>> close(2, 3), close(2, 3.1), close(math.inf, math.inf), close(2, math.inf)
        (True, False, True, False)
    """
    if math.isinf(first) or math.isinf(second):
        return first == second
    return max(first, second) <= FACTOR * min(first, second)


def study_task(config: ShotsConfig, context: Context, study: Study, number: int) -> TaskShots:
    """Predicts and measures the shots of one task.

    Args:
        config: How many shots are near enough, how sure, how often resampled.
        context: Seed and progress.
        study: Model, tasks and the examples that each was dealt.
        number: Which task.
    """
    task, dealt = study.tasks[number], study.dealt[number]
    queries = [example for prompt in dealt.prompts for example in prompt]
    how: dict[str, Any] = {"tokens_per_batch": config.tokens_per_batch, "progress": context.progress}
    scores = score_components(study.encoder, study.contexts, task, [*dealt.measured, *queries], **how)
    single, prompted = scores.split(len(dealt.measured))
    rows = study.encoder.encode_prompts([task] * len(dealt.prompts), dealt.prompts)
    said = label_log_probs(study.model, rows, **how)
    labels = study.label_numbers(queries).reshape(said.shape[:2])
    right = said.argmax(axis=2) == labels
    known = prompted.labels[number].argmax(axis=1).reshape(labels.shape) == labels
    gathered = gather(prompted, study.log_prior, len(dealt.prompts))
    mixed = gathered.predicted(prompted)
    found = separation(single, number, study.label_numbers(dealt.measured), study.log_prior)
    curve = ShotCurve(known.astype(float) - right)
    predicted, measured = _resampled(config, found, curve, np.random.default_rng([context.seed, number]))
    return TaskShots(
        name=task.name,
        separation=found,
        predicted=predicted,
        measured=measured,
        mixture=ShotCurve(known.astype(float) - (mixed.argmax(axis=2) == labels)).shots(config.eps),
        identification=_identification(config, found, gathered, number),
        curve=curve,
        predicted_loss=found.loss_curve(range(said.shape[1])),
        right=right[:, -1],
        accuracy=right.mean(axis=0),
        plateau=float(known.mean()),
        gap=bayes_gap(mixed, said).mean(axis=0),
        rarest=float(np.exp(scores.rarest.min())),
        margin=_margin(single, number),
        drift=_drift(config, study, number),
    )


def _resampled(
    config: ShotsConfig, found: Separation, curve: ShotCurve, generator: np.random.Generator
) -> tuple[Estimate, Estimate]:
    """Shots predicted, resampled over examples; shots measured, resampled over prompts."""
    predicted = resampled(
        lambda chosen: found.accuracy_shots(config.eps, chosen),
        len(found.ratios),
        found.accuracy_shots(config.eps),
        config.resamples,
        generator,
    )
    measured = resampled(
        lambda chosen: curve.shots(config.eps, chosen),
        len(curve.losses),
        curve.shots(config.eps),
        config.resamples,
        generator,
    )
    return predicted, measured


def _identification(config: ShotsConfig, found: Separation, gathered: Gathered, number: int) -> tuple[float, float]:
    posterior = np.exp(gathered.log_posterior[number])
    counted = first_shots(identified_share(posterior, config.eps), 1 - config.delta)
    return found.identification_shots(config.eps, config.delta), counted


def _margin(single: Components, number: int) -> float:
    ordered = np.sort(np.exp(single.labels[number]), axis=1)
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
