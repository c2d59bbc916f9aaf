"""The stages of a run: plain CTC first, then a method from that checkpoint, both from one configuration."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

from seqtant.ctc.config import Guard, Optimization, Purpose, SpeechConfig
from seqtant.ctc.lattice.schedule import Schedule
from seqtant.ctc.losses.align_with_purpose import AlignWithPurpose
from seqtant.ctc.losses.objective import Objective
from seqtant.ctc.losses.registry import METHODS, MethodSettings, plain
from seqtant.ctc.recognition.recognizer import Recognizer
from seqtant.ctc.recognition.sources import Corpora, new_recognizer
from seqtant.ctc.training.collapse_guard import CollapseError, CollapseGuard, development_wer
from seqtant.ctc.training.fit import StatsSink, fit
from seqtant.runs.context import Context
from seqtant.training import TrainingConfig


def train_plain(
    config: SpeechConfig, corpora: Corpora, *, context: Context, seed: int, to_zero: bool = False
) -> Recognizer:
    """Trains a fresh recognizer with plain CTC.

    Args:
        config: Network, steps, learning rate.
        corpora: What to learn from.
        context: Device and progress; its folder is not used.
        seed: Of weights and order.
        to_zero: Whether the learning rate falls to 0 (a finished model) or stays (a start for methods).
    """
    recognizer = new_recognizer(config.network, corpora, seed=seed)
    schedule = TrainingConfig(
        steps=config.base_steps,
        learning_rate=config.optimization.learning_rate,
        schedule="cosine" if to_zero else "constant",
        warmup=min(config.optimization.warmup, config.base_steps),
        final_fraction=0.0,
        weight_decay=0.0,
        betas=config.optimization.betas,
        clip=config.optimization.clip,
    )
    fit(
        recognizer,
        corpora.train,
        plain(0.0, MethodSettings(blank=corpora.labels.blank)),
        schedule,
        batch_size=config.optimization.batch_size,
        context=replace(context, folder=None),
        seed=seed,
    )
    return recognizer


@dataclass(frozen=True)
class Finetuned:
    """A recognizer after a method, and how the run went.

    Args:
        recognizer: With its new weights, or the last good ones if the run collapsed.
        collapse: Why the run was stopped; empty if it was not.
        guard: What the guard saw.
    """

    recognizer: Recognizer
    collapse: str
    guard: CollapseGuard | None


def finetune(
    recognizer: Recognizer,
    corpora: Corpora,
    objective: Objective,
    *,
    steps: int,
    optimization: Optimization,
    context: Context,
    seed: int,
    guard: Guard | None = None,
    stats: StatsSink | None = None,
) -> Finetuned:
    """Trains a copy of a recognizer on an objective; the learning rate falls to 0.

    Args:
        recognizer: Start; left as it is.
        corpora: What to learn from, and what the guard looks at.
        objective: What is minimized.
        steps: Optimizer steps.
        optimization: Learning rate, batch size.
        context: Device and progress.
        seed: Of the order and the sampled paths: the same for all methods that are compared.
        guard: When to stop; None never stops.
        stats: Told each step's statistics.
    """
    trained = Recognizer(copy.deepcopy(recognizer.encoder), recognizer.labels, recognizer.log_mel)
    watch = CollapseGuard(trained, corpora.development, guard) if guard else None
    schedule = TrainingConfig(
        steps=steps,
        learning_rate=optimization.finetune_rate,
        warmup=min(10, steps),
        final_fraction=0.0,
        weight_decay=0.0,
        betas=optimization.betas,
        clip=optimization.clip,
    )
    collapse = ""
    try:
        fit(
            trained,
            corpora.train,
            objective,
            schedule,
            batch_size=optimization.batch_size,
            context=replace(context, folder=None),
            seed=seed + 10_000,
            callbacks=(watch.callback,) if watch else (),
            stats=stats,
        )
        if watch:
            watch.look(steps, trained.encoder)
    except CollapseError as error:
        collapse = str(error)
        if watch:
            watch.restore()
    return Finetuned(trained, collapse, watch)


def objective_of(method: str, weight: float, purpose: Purpose, corpora: Corpora, *, ramp: int = 0) -> Objective:
    """The objective of a method's name and weight.

    Raises:
        InputError: No method has that name, or the weight does not suit it.
    """
    settings = MethodSettings(
        blank=corpora.labels.blank,
        space=corpora.labels.space,
        feature_rate=corpora.log_mel.rate / corpora.log_mel.hop,
        num_samples=purpose.num_samples,
        candidates=purpose.candidates,
        shifts=purpose.shifts,
        temperature=purpose.temperature,
        margin=purpose.margin,
    )
    objective = METHODS[method](weight, settings)
    for term in objective.terms:
        if ramp and isinstance(term, AlignWithPurpose):
            term.weights = tuple(Schedule(((0, 0.0), (ramp, schedule.at(0)))) for schedule in term.weights)
    return objective


def check_method(method: str, weight: float, purpose: Purpose) -> None:
    """Fails before any training where a method or its weight cannot be used.

    Raises:
        InputError: No method has that name, or the weight does not suit it.
    """
    METHODS[method](weight, MethodSettings(candidates=purpose.candidates, shifts=purpose.shifts))


def reach_start(
    recognizer: Recognizer,
    corpora: Corpora,
    *,
    start_wer: float,
    most_steps: int,
    optimization: Optimization,
    context: Context,
    seed: int,
) -> tuple[Recognizer, int, float]:
    """Trains with plain CTC until the development word error rate is low enough for sampled paths to mean something.

    Returns:
        The recognizer, the steps it took, and the word error rate (percent) it starts from.
    """
    steps, chunk = 0, min(100, max(most_steps, 1))
    wer = development_wer(recognizer, corpora.development)
    while wer > start_wer and steps + chunk <= most_steps:
        objective = plain(0.0, MethodSettings(blank=corpora.labels.blank))
        done = finetune(
            recognizer,
            corpora,
            objective,
            steps=chunk,
            optimization=optimization,
            context=context,
            seed=seed + steps,
        )
        recognizer, steps = done.recognizer, steps + chunk
        wer = development_wer(recognizer, corpora.development)
    return recognizer, steps, wer
