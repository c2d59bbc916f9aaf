"""The bounds alone: how many shots the published lemma asks for, how many its proof needs, and when both are silent."""

from __future__ import annotations

import math

from seqtant.findings import Assumption, Estimate, Result, format_number
from seqtant.icl import theory
from seqtant.icl.config import BoundConfig
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb

ASSUMPTIONS = (
    "Examples are independent across the delimiter up to a factor c1.",
    "No token is rarer than c2 in any task, after any prefix.",
    "No task has a prior below c3.",
)


@verb(BoundConfig)
def bound(config: BoundConfig, context: Context) -> Result:
    """Computes the shots that the published lemma and its refined forms promise, and with a margin what is left of it.

    Lemma 1, with T tokens per example and t = 8 log(1/(c1 c2)): the true task stands out after
    max{16 T^2 log^2(1/c2) log(1/delta) / KL^2, 2 log(1/eps) / (KL - t)} shots. Where KL does not exceed t it promises
    nothing. The refined forms stand in :mod:`seqtant.icl.theory`.

    Returns:
        ``shots_paper``, ``shots_refined``, ``shots_tight`` (infinite where vacuous), ``threshold`` and
        ``threshold_refined`` in nats per example, ``vacuous`` and ``vacuous_refined`` as 0 or 1.

    Raises:
        InputError: A number lies outside its range.

    Example:
        >>> values = bound(length=20, kl=35.156, c2=0.1).values
        >>> round(values["shots_paper"], 1), round(values["shots_refined"], 1)
        (82.2, 41.1)
    """
    with Recorder("icl.bound", "Shots that the theory promises", config, context, papers=(4,)) as record:
        _record_shots(record, config)
        if config.margin is not None:
            published = theory.prompt_margin_published(config.margin, config.c1)
            # With two labels the margin alone fixes both probabilities.
            exact = theory.component_margin((1 + config.margin) / 2, (1 - config.margin) / 2, config.c1)
            applies = theory.efficiently_learnable(config.margin, config.kl, config.c1, config.c2)
            record.value("margin_in_context", published)
            record.value("margin_of_component", exact)
            record.value("efficiently_learnable", int(applies))
            record.finding(
                "margin",
                "How much of the margin is left in the prompt?",
                "agrees" if exact > 0 else "vacuous",
                f"Of {config.margin:.4g}, Theorem 1 keeps {published:.4g}; the task's own part keeps {exact:.4g} for "
                f"sure with two labels. Theorem 2 {'applies' if applies else 'does not apply'}.",
                predicted=Estimate.exact(exact, method="closed form"),
            )
    return record.result


def _record_shots(record: Recorder, config: BoundConfig) -> None:
    case = {"flipped": config.flipped, "shared_delimiter": config.shared_delimiter}
    numbers = (config.c1, config.c2, config.c3, config.length, config.kl, config.eps, config.delta)
    paper = theory.lemma1(config.c1, config.c2, config.length, config.kl, config.eps, config.delta)
    refined = theory.lemma1_refined(*numbers, **case)
    tight = theory.lemma1_tight(*numbers, **case)
    for name, number in (("paper", paper.shots), ("refined", refined.shots), ("tight", tight)):
        record.value(f"shots_{name}", number)
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
        assumptions=tuple(Assumption(statement=each, how="taken as given") for each in ASSUMPTIONS),
        advice="Measure instead: seqtant icl shots." if paper.vacuous else "",
    )
