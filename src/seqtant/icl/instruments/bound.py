"""The bounds alone: how many shots the published lemma asks for, how many its proof needs, and when both are silent."""

from __future__ import annotations

import math

from seqtant.errors import InputError
from seqtant.findings import Assumption, Estimate, Result, format_number
from seqtant.icl import theory
from seqtant.icl.config import BoundConfig
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

ASSUMPTIONS = (
    Assumption(statement="Examples are independent across the delimiter up to a factor c1.", how="taken as given"),
    Assumption(statement="No token is rarer than c2 in any task, after any prefix.", how="taken as given"),
    Assumption(statement="No task has a prior below c3.", how="taken as given"),
)


def run(config: BoundConfig, context: Context) -> Result:
    """Evaluates the published and the refined forms of Lemma 1, and with a margin the theorems on margins.

    Raises:
        InputError: A number lies outside its range.
    """
    with Recorder("icl.bound", "Shots that the theory promises", config, context, papers=(4,)) as record:
        try:
            _record_shots(record, config)
        except ValueError as error:
            raise InputError(str(error)) from error
        if config.margin is not None:
            _record_margins(record, config, config.margin)
    return record.result


def _record_shots(record: Recorder, config: BoundConfig) -> None:
    case = {"flipped": config.flipped, "shared_delimiter": config.shared_delimiter}
    numbers = (config.c1, config.c2, config.c3, config.length, config.kl, config.eps, config.delta)
    paper = theory.lemma1(config.c1, config.c2, config.length, config.kl, config.eps, config.delta)
    refined = theory.lemma1_refined(*numbers, **case)
    tight = theory.lemma1_tight(*numbers, **case)
    record.value("shots_paper", paper.shots)
    record.value("shots_refined", refined.shots)
    record.value("shots_tight", tight)
    record.value("threshold", paper.threshold)
    record.value("threshold_refined", refined.threshold)
    record.value("vacuous", int(paper.vacuous))
    record.value("vacuous_refined", int(refined.vacuous))
    rows = [
        ("Lemma 1 as published", paper.threshold, paper.concentration, paper.separation, paper.shots),
        ("8 T^2, all rivals, prior", refined.threshold, refined.concentration, refined.separation, refined.shots),
        # With KL split in halves it must exceed twice the drift; without, the drift itself.
        ("the same, not split in halves", refined.threshold / 2, None, None, tight),
    ]
    shown = [(name, *(None if number is None else format_number(number) for number in rest)) for name, *rest in rows]
    record.table(
        "forms",
        "Shots by each form",
        ("form", "threshold, nats", "to concentrate", "to separate", "shots"),
        shown,
        note=f"An example of {config.length} tokens carries at most "
        f"{config.length * math.log(1 / config.c2):.4g} nats; it has {config.kl:.4g}.",
    )
    if paper.vacuous:
        rest = (
            "neither does any refined form"
            if refined.vacuous
            else f"the refined form, with a threshold of {refined.threshold:.4g}, promises {math.ceil(refined.shots)}"
        )
        summary = (
            f"Nothing is promised: {config.kl:.4g} nats per example do not exceed {paper.threshold:.4g}; {rest}. "
            "That says nothing about how many shots it takes."
        )
    else:
        published, unrounded = math.ceil(paper.shots), math.ceil(refined.shots)
        summary = f"{published} shots as published, {unrounded} by the same proof without rounding."
    record.finding(
        "shots",
        "How many shots make the true task stand out, by the published lemma?",
        "vacuous" if paper.vacuous else "agrees",
        summary,
        predicted=Estimate.exact(paper.shots, unit="shots", method="closed form"),
        assumptions=ASSUMPTIONS,
        advice="Measure instead: seqtant icl shots." if paper.vacuous else "",
    )


def _record_margins(record: Recorder, config: BoundConfig, margin: float) -> None:
    published = theory.prompt_margin_published(margin, config.c1)
    # With two labels the margin alone fixes both probabilities.
    exact = theory.component_margin((1 + margin) / 2, (1 - margin) / 2, config.c1)
    applies = theory.efficiently_learnable(margin, config.kl, config.c1, config.c2)
    record.value("margin_in_context", published)
    record.value("margin_of_component", exact)
    record.value("efficiently_learnable", int(applies))
    record.finding(
        "margin",
        "How much of the margin is left in the prompt?",
        "agrees" if exact > 0 else "vacuous",
        f"Of {margin:.4g}, Theorem 1 keeps {published:.4g}; the task's own part keeps {exact:.4g} for sure with two "
        f"labels. Theorem 2 {'applies' if applies else 'does not apply'}.",
        predicted=Estimate.exact(exact, method="closed form"),
    )
