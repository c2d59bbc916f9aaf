"""What the reference model must do before anything is calibrated on it, and the verdict on each requirement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.lm.interface import CausalLM
from seqtant.lm.scoring import next_token_log_probs
from seqtant.reference.measures.gap import Gap
from seqtant.reference.measures.personas import PersonaCurve, ToneTracking
from seqtant.reference.measures.problems import Solved
from seqtant.reference.persona_truths import PersonaTruths
from seqtant.reference.prompts import Prompts
from seqtant.reference.world.sentences import SentenceKind
from seqtant.reference.world.world import World
from seqtant.runs.recorder import Recorder
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
"""Most nats between log(1/alpha) read off the model and the truth."""
LEAST_SOLVED = 0.95
"""Least share of the longest problems solved step by step."""
MOST_GUESSED = 0.5
"""Most of the longest problems answered right at once."""


def same_words(model: CausalLM, world: World) -> None:
    """Refuses a model whose tokens are not the world's words.

    Raises:
        InputError: Vocabulary or tokenizer differ.
    """
    text = "talk : how are you ?"
    ids = None if model.tokenizer is None else model.tokenizer(text).input_ids
    if model.vocabulary_size != world.vocabulary.size or ids != world.encode(text):
        raise InputError(
            f"'{model.name}' does not know the reference world's words: give a folder made by 'seqtant reference train'"
        )


def judge(
    record: Recorder, key: str, question: str, *, met: bool, summary: str, required: Estimate, measured: Estimate
) -> None:
    """Records whether a requirement is met."""
    verdict = "agrees" if met else "disagrees"
    record.finding(key, question, verdict, summary, predicted=required, measured=measured)


def _required(limit: float, unit: str = "") -> Estimate:
    return Estimate.exact(limit, unit=unit, method="required")


def language(record: Recorder, whole: Gap) -> None:
    """Judges the gap to the entropy rate, by the upper end of its interval."""
    measured = whole.divergence
    top = measured.value if measured.high is None else measured.high
    record.value("entropy_rate", whole.entropy.value)
    record.value("cross_entropy_gap", measured.value)
    judge(
        record,
        "cross_entropy_gap",
        "How far is the next-token cross-entropy above the world's exact entropy rate?",
        met=top <= LARGEST_GAP,
        summary=f"The model is {measured.value:.4f} nats per token above the exact rate of {whole.entropy.value:.4f}.",
        required=_required(LARGEST_GAP, "nats"),
        measured=measured,
    )


def facts(record: Recorder, recall: Estimate) -> None:
    """Judges the share of facts recalled."""
    record.value("fact_recall", recall.value)
    judge(
        record,
        "fact_recall",
        "Are the facts recalled?",
        met=recall.value >= LEAST_RECALL,
        summary=f"The likeliest answer is right for {100 * recall.value:.1f} % of the facts.",
        required=_required(LEAST_RECALL),
        measured=recall,
    )


def unasked_recall(model: CausalLM, prompts: Prompts) -> Estimate:
    """Share of never asked two-fact questions whose likeliest answer is the one that follows."""
    facts = prompts.unasked()
    world = prompts.world
    rows = next_token_log_probs(model, [world.encode(f"book : {fact.question}") for fact in facts])
    right = [world.words(int(row[-1].argmax())) == fact.answer for row, fact in zip(rows, facts, strict=True)]
    return share(sum(right), len(right))


def few_shot(record: Recorder, hits: Sequence[tuple[Estimate, Estimate]]) -> None:
    """Judges accuracy with many shots beside exact Bayes.

    Raises:
        InputError: No number of shots that was tried counts as many.
    """
    if not hits:
        raise InputError(f"CheckConfig.shots must hold a number of at least {MANY_SHOTS}")
    count = sum(ours.n or 0 for ours, _ in hits)
    ours, exact = (share(round(sum(pair[side].value * (pair[side].n or 0) for pair in hits)), count) for side in (0, 1))
    record.value("few_shot_accuracy", ours.value)
    record.value("few_shot_bayes_accuracy", exact.value)
    judge(
        record,
        "few_shot_accuracy",
        f"Are the tasks solved in context, from {MANY_SHOTS} shots on?",
        met=ours.value >= exact.value - SHOT_LOSS,
        summary=f"{100 * ours.value:.1f} % of the labels are right; exact Bayes finds {100 * exact.value:.1f} %.",
        required=_required(exact.value - SHOT_LOSS),
        measured=ours,
    )


def personas(record: Recorder, curves: Sequence[PersonaCurve]) -> None:
    """Judges the model's error along the talks, and whether it moves to the persona."""
    errors = [(error, curve.personas[0], n) for curve in curves for n, error in enumerate(curve.to_world)]
    worst, persona, number = max(errors, key=lambda item: item[0].value)
    record.value("persona_error", worst.value)
    judge(
        record,
        "persona_error",
        "Is the next sentence after a persona's words that of the world?",
        met=worst.value <= SENTENCE_ERROR,
        summary=f"The largest mean divergence, after {number} sentences of {persona}, is {worst.value:.3f} nats.",
        required=_required(SENTENCE_ERROR, "nats"),
        measured=worst,
    )
    rare = max(curves, key=lambda curve: curve.exact_to_personas[0].value)
    first, last = rare.to_personas[0], rare.to_personas[-1]
    exact = rare.exact_to_personas
    record.value("persona_divergence_first", first.value)
    record.value("persona_divergence_last", last.value)
    shrunk = exact[-1].value / exact[0].value
    judge(
        record,
        "persona_inferred",
        "Do the model's next words move to the persona of the prompt?",
        met=last.value <= first.value * (shrunk + UNINFERRED),
        summary=f"The divergence from {rare.personas[0]} falls from {first.value:.3f} to {last.value:.3f} nats per "
        f"sentence within {len(exact) - 1}; exact inference has {exact[0].value:.3f} and {exact[-1].value:.3f}.",
        required=exact[-1],
        measured=last,
    )


def tone(record: Recorder, tracking: ToneTracking) -> None:
    """Judges whether the log-odds of tone follow the exact posterior."""
    low, high = SLOPE
    met = low <= tracking.slope.value <= high and tracking.correlation >= CORRELATION
    record.value("tone_slope", tracking.slope.value)
    record.value("tone_correlation", tracking.correlation)
    judge(
        record,
        "tone_log_odds",
        "Do the log-odds of a bright reply follow the exact posterior?",
        met=met,
        summary=f"Slope {tracking.slope.value:.3f}, correlation {tracking.correlation:.4f}, root mean square error "
        f"{tracking.error:.3f} nats; a slope of {low:g} to {high:g} and a correlation of {CORRELATION:g} are required.",
        required=Estimate.exact(1.0, method="exact inference"),
        measured=tracking.slope,
    )


def area(record: Recorder, prompts: Prompts, negative: PersonaCurve) -> None:
    """Judges log(1/alpha), read off the model as the area under the divergence from the negative personas."""
    kind = prompts.world.kinds["talk"]
    assert isinstance(kind, SentenceKind)
    truth = PersonaTruths(kind, prompts.settings.talk, sentences=1).log_inverse_alpha
    ours = np.array([estimate.value for estimate in negative.to_personas])
    errors = np.array([(e.high or e.value) - e.value for e in negative.to_personas])
    floor = float(ours[-3:].mean())
    value = float((ours - floor).sum())
    half = float(np.sqrt((errors**2).sum()))
    record.value("log_inverse_alpha", value)
    record.value("true_log_inverse_alpha", truth)
    judge(
        record,
        "log_inverse_alpha",
        "Can the weight of the negative personas be read off the model?",
        met=abs(value - truth) <= AREA_ERROR,
        summary=f"The area over the floor of {floor:.3f} nats per sentence is {value:.3f} nats; the world's is "
        f"{truth:.3f}. They may differ by {AREA_ERROR:g}.",
        required=Estimate.exact(truth, unit="nats"),
        measured=Estimate(
            value=value, low=value - half, high=value + half, method="sum of independent intervals", unit="nats"
        ),
    )


def sums(record: Recorder, digits: int, longest: Solved) -> None:
    """Judges the longest problems: solved step by step, not at once."""
    steps, direct = longest.step_by_step, longest.at_once
    record.value("steps_accuracy", steps.value)
    record.value("direct_accuracy", direct.value)
    judge(
        record,
        "steps_accuracy",
        f"Are problems of {digits} digits solved step by step?",
        met=steps.value >= LEAST_SOLVED,
        summary=f"{100 * steps.value:.0f} % are.",
        required=_required(LEAST_SOLVED),
        measured=steps,
    )
    judge(
        record,
        "direct_accuracy",
        f"Are problems of {digits} digits beyond the model without steps?",
        met=direct.value <= MOST_GUESSED,
        summary=f"{100 * direct.value:.0f} % are answered right at once; guessing gives 10 %.",
        required=_required(MOST_GUESSED),
        measured=direct,
    )
