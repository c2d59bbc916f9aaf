"""Measures a model against the world, and judges whether it is good enough for anything to be calibrated on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Cell, Estimate, Result
from seqtant.lm.interface import CausalLM
from seqtant.lm.loading import load
from seqtant.lm.scoring import next_token_log_probs
from seqtant.reference.config import CheckConfig
from seqtant.reference.measures import answer, follow, gaps, solve, track_tone
from seqtant.reference.prompts import Prompts
from seqtant.reference.recipe import CHECKING
from seqtant.reference.truths import NEGATIVE, PersonaTruths
from seqtant.reference.world.documents import SentenceKind
from seqtant.reference.world.world import World
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import share

LARGEST_GAP = 0.05
"""Most nats per token above the exact entropy rate."""
LEAST_RECALL = 0.95
"""Least share of facts recalled."""
MANY_SHOTS = 8
"""From so many shots on, a task counts as shown."""
SHOT_LOSS = 0.05
"""Most accuracy lost to exact Bayes with many shots."""
SENTENCE_ERROR = 0.25
"""Most nats per sentence between world and model, after any number of sentences of any persona, mean over talks."""
UNINFERRED = 0.1
"""Most of the first divergence from a persona that may stay, beyond what exact inference leaves."""
SLOPE = (0.85, 1.15)
"""Range of the slope of the model's log-odds of tone on the exact ones."""
CORRELATION = 0.95
"""Least correlation of the two."""
AREA_ERROR = 0.25
"""Most nats between the area read off the model and that of the exact probabilities on the same talks."""
LEAST_SOLVED = 0.95
"""Least share of the longest problems solved step by step."""
MOST_GUESSED = 0.5
"""Most of the longest problems answered right at once."""


def same_words(model: CausalLM, world: World) -> None:
    """Refuses a model whose tokens are not the world's words."""
    text = "talk : how are you ?"
    ids = None if model.tokenizer is None else model.tokenizer(text).input_ids
    if model.vocabulary_size != world.vocabulary.size or ids != world.encode(text):
        raise InputError(
            f"'{model.name}' does not know the reference world's words: give a folder made by 'seqtant reference train'"
        )


@dataclass(frozen=True)
class _Check:
    """What every part of a check works with; the parts draw from one generator, in this order."""

    record: Recorder
    model: CausalLM
    prompts: Prompts
    config: CheckConfig
    generator: np.random.Generator

    def judge(
        self,
        key: str,
        question: str,
        met: bool,
        summary: str,
        measured: Estimate,
        required: Estimate | float,
        unit: str = "",
    ) -> None:
        """Records whether a requirement, an estimate or a plain limit, is met."""
        if not isinstance(required, Estimate):
            required = Estimate.exact(required, unit=unit, method="required")
        verdict = "agrees" if met else "disagrees"
        self.record.finding(key, question, verdict, summary, predicted=required, measured=measured)


@verb(CheckConfig)
def check_model(config: CheckConfig, context: Context) -> Result:
    """Measures everything the reference model is required to do.

    Raises:
        InputError: The model cannot be loaded or has other words than the world.
    """
    with Recorder("reference.check", "The reference model against its world", config, context) as record:
        model = load(config.model, device=context.device)
        prompts = Prompts()
        same_words(model, prompts.world)
        check = _Check(record, model, prompts, config, np.random.default_rng([context.seed, CHECKING]))
        # The gap to the entropy rate, judged by the upper end of its interval.
        measured = gaps(
            model,
            prompts.world,
            documents=config.documents,
            longest=model.context_length or 256,
            generator=check.generator,
            progress=record.context.progress,
        )
        entropy, gap = measured["all"].entropy, measured["all"].divergence
        record.value("entropy_rate", entropy.value)
        record.value("cross_entropy_gap", gap.value)
        check.judge(
            "cross_entropy_gap",
            "How far is the next-token cross-entropy above the world's exact entropy rate?",
            (gap.value if gap.high is None else gap.high) <= LARGEST_GAP,
            f"The model is {gap.value:.4f} nats per token above the exact rate of {entropy.value:.4f}.",
            gap,
            LARGEST_GAP,
            "nats",
        )
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
        _facts(check)
        _games(check)
        _personas(check)
        _area(check)
        _sums(check)
    return record.result


def _facts(check: _Check) -> None:
    record, model, prompts, world = check.record, check.model, check.prompts, check.prompts.world
    asked = {
        "single facts": prompts.facts(),
        "single facts in a talk": prompts.facts("talk :"),
        "two facts joined": prompts.compositions(),
    }
    recalled = {name: answer(model, world, questions) for name, questions in asked.items()}
    recall = recalled["single facts"].accuracy
    record.value("fact_recall", recall.value)
    check.judge(
        "fact_recall",
        "Are the facts recalled?",
        recall.value >= LEAST_RECALL,
        f"The likeliest answer is right for {100 * recall.value:.1f} % of the facts.",
        recall,
        LEAST_RECALL,
    )
    # Two-fact questions that the world never asks have no exact probability: only the answer that follows is right.
    facts = prompts.unasked()
    rows = next_token_log_probs(model, [world.encode(f"book : {fact.question}") for fact in facts])
    right = [world.words(int(row[-1].argmax())) == fact.answer for row, fact in zip(rows, facts, strict=True)]
    unasked = share(sum(right), len(right))
    record.value("unasked_composition_recall", unasked.value)
    table: list[tuple[Cell, ...]] = [
        (name, found.accuracy.n, found.accuracy.value, found.probability, found.exact_probability)
        for name, found in recalled.items()
    ]
    record.table(
        "facts",
        "Facts recalled",
        ("questions", "number", "recalled", "mean probability", "exact probability"),
        [*table, ("two facts joined, never asked in the world", unasked.n, unasked.value, None, None)],
    )


def _games(check: _Check) -> None:
    """Accuracy by number of shots beside exact Bayes; with many shots it is judged."""
    record, prompts, config = check.record, check.prompts, check.config
    names = [task.name for task in prompts.settings.game.tasks]
    rows = []
    many: list[tuple[Estimate, Estimate]] = []
    for shots in config.shots:
        questions = [prompts.shots(name, shots, check.generator) for name in names for _ in range(config.games)]
        found = answer(check.model, prompts.world, questions)
        own, exact = found.accuracy, found.exact_accuracy
        rows.append((shots, own.value, own.low, own.high, exact.value, found.divergence))
        if shots >= MANY_SHOTS:
            many.append((own, exact))
    record.table(
        "games",
        "Labels found in context, all tasks alike",
        ("shots", "accuracy", "low", "high", "exact Bayes", "divergence"),
        rows,
        note="The right label is that of the task; exact Bayes sees the same shots. Divergence in nats per label.",
    )
    if not many:
        raise InputError(f"CheckConfig.shots must hold a number of at least {MANY_SHOTS}")
    count = sum(own.n or 0 for own, _ in many)
    own, exact = (share(round(sum(pair[side].value * (pair[side].n or 0) for pair in many)), count) for side in (0, 1))
    record.value("few_shot_accuracy", own.value)
    record.value("few_shot_bayes_accuracy", exact.value)
    check.judge(
        "few_shot_accuracy",
        f"Are the tasks solved in context, from {MANY_SHOTS} shots on?",
        own.value >= exact.value - SHOT_LOSS,
        f"{100 * own.value:.1f} % of the labels are right; exact Bayes finds {100 * exact.value:.1f} %.",
        own,
        exact.value - SHOT_LOSS,
    )


def _personas(check: _Check) -> None:
    """The model's error along talks, whether its next words move to the persona, and whether its tone follows."""
    record, model, prompts, config, generator = (
        check.record,
        check.model,
        check.prompts,
        check.config,
        check.generator,
    )
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
    errors = [(error, curve.personas[0], n) for curve in curves for n, error in enumerate(curve.to_world)]
    worst, persona, number = max(errors, key=lambda item: item[0].value)
    record.value("persona_error", worst.value)
    check.judge(
        "persona_error",
        "Is the next sentence after a persona's words that of the world?",
        worst.value <= SENTENCE_ERROR,
        f"The largest mean divergence, after {number} sentences of {persona}, is {worst.value:.3f} nats.",
        worst,
        SENTENCE_ERROR,
        "nats",
    )
    rare = max(curves, key=lambda curve: curve.exact_to_personas[0].value)
    first, last, exact = rare.to_personas[0], rare.to_personas[-1], rare.exact_to_personas
    record.value("persona_divergence_first", first.value)
    record.value("persona_divergence_last", last.value)
    shrunk = exact[-1].value / exact[0].value
    check.judge(
        "persona_inferred",
        "Do the model's next words move to the persona of the prompt?",
        last.value <= first.value * (shrunk + UNINFERRED),
        f"The divergence from {rare.personas[0]} falls from {first.value:.3f} to {last.value:.3f} nats per "
        f"sentence within {len(exact) - 1}; exact inference has {exact[0].value:.3f} and {exact[-1].value:.3f}.",
        last,
        exact[-1],
    )
    tracking = track_tone(model, prompts, talks=max(2, config.talks // 5), lengths=(0, 1, 2, 4, 8), generator=generator)
    low, high = SLOPE
    record.value("tone_slope", tracking.slope.value)
    record.value("tone_correlation", tracking.correlation)
    check.judge(
        "tone_log_odds",
        "Do the log-odds of a bright reply follow the exact posterior?",
        low <= tracking.slope.value <= high and tracking.correlation >= CORRELATION,
        f"Slope {tracking.slope.value:.3f}, correlation {tracking.correlation:.4f}, root mean square error "
        f"{tracking.error:.3f} nats; a slope of {low:g} to {high:g} and a correlation of {CORRELATION:g} are required.",
        tracking.slope,
        Estimate.exact(1.0, method="exact inference"),
    )


def _area(check: _Check) -> None:
    """log(1/alpha), read off the model as the area under the divergence from the negative personas."""
    record, prompts, config = check.record, check.prompts, check.config
    negative = follow(
        check.model, prompts, NEGATIVE, talks=config.talks, sentences=config.sentences, generator=check.generator
    )
    kind = prompts.world.kinds["talk"]
    assert isinstance(kind, SentenceKind)
    truth = PersonaTruths(kind, prompts.settings.talk).log_inverse_alpha
    # Area between the curve and its floor, the mean of the last three sentences; the chain rule makes it log(1/alpha)
    # for endless talks. At this length the floor takes 0.3 nats off the exact probabilities too, so the model is held
    # against them on the same talks.
    ours, exact = (
        np.array([estimate.value for estimate in part]) for part in (negative.to_personas, negative.exact_to_personas)
    )
    errors = np.array([(e.high or e.value) - e.value for e in negative.to_personas])
    floor = float(ours[-3:].mean())
    value, expected = (float((curve - curve[-3:].mean()).sum()) for curve in (ours, exact))
    half = float(np.sqrt((errors**2).sum()))
    record.value("log_inverse_alpha", value)
    record.value("exact_area", expected)
    record.value("true_log_inverse_alpha", truth)
    check.judge(
        "log_inverse_alpha",
        "Can the weight of the negative personas be read off the model?",
        abs(value - expected) <= AREA_ERROR,
        f"The area over the floor of {floor:.3f} nats per sentence is {value:.3f} nats; the exact probabilities have "
        f"{expected:.3f} on the same talks, of {truth:.3f} in endless ones. They may differ by {AREA_ERROR:g}.",
        Estimate(value=value, low=value - half, high=value + half, method="sum of independent intervals", unit="nats"),
        Estimate.exact(expected, unit="nats"),
    )


def _sums(check: _Check) -> None:
    """Problems by length; the longest must be solved step by step, and not at once."""
    record, prompts = check.record, check.prompts
    settings = prompts.settings.sums
    solved = {
        digits: solve(check.model, prompts.world, prompts.problems(digits, check.config.problems, check.generator))
        for digits in range(settings.shortest, len(settings.ordinals) + 1)
    }
    record.table(
        "sums",
        "Problems solved, greedily",
        ("digits", "step by step", "low", "high", "at once", "low", "high"),
        [
            (digits, *(part for way in (one.step_by_step, one.at_once) for part in (way.value, way.low, way.high)))
            for digits, one in solved.items()
        ],
    )
    digits = max(solved)
    longest = solved[digits]
    steps, direct = longest.step_by_step, longest.at_once
    record.value("steps_accuracy", steps.value)
    record.value("direct_accuracy", direct.value)
    check.judge(
        "steps_accuracy",
        f"Are problems of {digits} digits solved step by step?",
        steps.value >= LEAST_SOLVED,
        f"{100 * steps.value:.0f} % are.",
        steps,
        LEAST_SOLVED,
    )
    check.judge(
        "direct_accuracy",
        f"Are problems of {digits} digits beyond the model without steps?",
        direct.value <= MOST_GUESSED,
        f"{100 * direct.value:.0f} % are answered right at once; guessing gives 10 %.",
        direct,
        MOST_GUESSED,
    )
