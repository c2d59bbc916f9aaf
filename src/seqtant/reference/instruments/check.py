"""Measures a model against the world, requirement by requirement."""

from __future__ import annotations

import numpy as np

from seqtant.findings import Cell, Estimate, Result
from seqtant.lm.interface import CausalLM
from seqtant.lm.loading import load
from seqtant.reference import requirements
from seqtant.reference.config import CheckConfig
from seqtant.reference.measures.gap import gaps
from seqtant.reference.measures.personas import follow, track_tone
from seqtant.reference.measures.problems import solve
from seqtant.reference.measures.recall import answer
from seqtant.reference.persona_truths import NEGATIVE
from seqtant.reference.prompts import Prompts
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

CHECKING = 2
"""Stream of chance that checks draw from: another than those of training and of its held-out documents."""


def run(config: CheckConfig, context: Context) -> Result:
    """Measures everything the reference model is required to do.

    Raises:
        InputError: The model cannot be loaded or has other words than the world.
    """
    with Recorder("reference.check", "The reference model against its world", config, context) as record:
        model = load(config.model, device=context.device)
        prompts = Prompts()
        requirements.same_words(model, prompts.world)
        generator = np.random.default_rng([context.seed, CHECKING])
        _language(record, model, prompts, config, generator)
        _facts(record, model, prompts)
        _games(record, model, prompts, config, generator)
        _personas(record, model, prompts, config, generator)
        _sums(record, model, prompts, config, generator)
    return record.result


def _language(
    record: Recorder, model: CausalLM, prompts: Prompts, config: CheckConfig, generator: np.random.Generator
) -> None:
    longest = model.context_length or 256
    measured = gaps(
        model,
        prompts.world,
        documents=config.documents,
        longest=longest,
        generator=generator,
        progress=record.context.progress,
    )
    requirements.language(record, measured["all"])
    record.table(
        "language",
        "Nats per token on held-out documents",
        ("kind", "entropy", "world", "model", "gap", "low", "high"),
        [
            (
                kind,
                gap.entropy.value,
                gap.surprise.value,
                gap.cross_entropy.value,
                gap.divergence.value,
                gap.divergence.low,
                gap.divergence.high,
            )
            for kind, gap in measured.items()
        ],
        note="World and model: mean surprise at the tokens that came. Gap: mean exact KL(world || model).",
    )


def _facts(record: Recorder, model: CausalLM, prompts: Prompts) -> None:
    world = prompts.world
    asked = {
        "single facts": prompts.facts(),
        "single facts in a talk": prompts.facts("talk :"),
        "two facts joined": prompts.compositions(),
    }
    recalled = {name: answer(model, world, questions) for name, questions in asked.items()}
    requirements.facts(record, recalled["single facts"].accuracy)
    unasked = requirements.unasked_recall(model, prompts)
    record.value("unasked_composition_recall", unasked.value)
    rows: list[tuple[Cell, ...]] = [
        (name, found.accuracy.n, found.accuracy.value, found.probability, found.exact_probability)
        for name, found in recalled.items()
    ]
    record.table(
        "facts",
        "Facts recalled",
        ("questions", "number", "recalled", "mean probability", "exact probability"),
        [*rows, ("two facts joined, never asked in the world", unasked.n, unasked.value, None, None)],
    )


def _games(
    record: Recorder, model: CausalLM, prompts: Prompts, config: CheckConfig, generator: np.random.Generator
) -> None:
    names = [task.name for task in prompts.settings.game.tasks]
    rows = []
    hits: list[tuple[Estimate, Estimate]] = []
    for shots in config.shots:
        questions = [prompts.shots(name, shots, generator) for name in names for _ in range(config.games)]
        found = answer(model, prompts.world, questions)
        rows.append(
            (
                shots,
                found.accuracy.value,
                found.accuracy.low,
                found.accuracy.high,
                found.exact_accuracy.value,
                found.divergence,
            )
        )
        hits += [(found.accuracy, found.exact_accuracy)] if shots >= requirements.MANY_SHOTS else []
    record.table(
        "games",
        "Labels found in context, all tasks alike",
        ("shots", "accuracy", "low", "high", "exact Bayes", "divergence"),
        rows,
        note="The right label is that of the task; exact Bayes sees the same shots. Divergence in nats per label.",
    )
    requirements.few_shot(record, hits)


def _personas(
    record: Recorder, model: CausalLM, prompts: Prompts, config: CheckConfig, generator: np.random.Generator
) -> None:
    curves = [
        follow(model, prompts, (persona.name,), talks=config.talks, sentences=config.sentences, generator=generator)
        for persona in prompts.settings.talk.personas
    ]
    record.table(
        "personas",
        "Nats per sentence after so many sentences of a persona",
        ("persona", "sentences", "world to model", "persona to model", "persona to world"),
        [
            (
                curve.personas[0],
                n,
                *(part[n].value for part in (curve.to_world, curve.to_personas, curve.exact_to_personas)),
            )
            for curve in curves
            for n in sorted({0, 1, 2, 4, 8, 12, 16, config.sentences - 1})
            if n < config.sentences
        ],
    )
    requirements.personas(record, curves)
    tracking = track_tone(model, prompts, talks=max(2, config.talks // 5), lengths=(0, 1, 2, 4, 8), generator=generator)
    requirements.tone(record, tracking)
    negative = follow(model, prompts, NEGATIVE, talks=config.talks, sentences=config.sentences, generator=generator)
    requirements.area(record, prompts, negative)


def _sums(
    record: Recorder, model: CausalLM, prompts: Prompts, config: CheckConfig, generator: np.random.Generator
) -> None:
    settings = prompts.settings.sums
    rows = []
    for digits in range(settings.shortest, len(settings.ordinals) + 1):
        solved = solve(model, prompts.world, prompts.problems(digits, config.problems, generator))
        rows.append((digits, solved))
    record.table(
        "sums",
        "Problems solved, greedily",
        ("digits", "step by step", "low", "high", "at once", "low", "high"),
        [
            (
                digits,
                *(part for way in (solved.step_by_step, solved.at_once) for part in (way.value, way.low, way.high)),
            )
            for digits, solved in rows
        ],
    )
    requirements.sums(record, *rows[-1])
