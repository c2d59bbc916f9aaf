"""Prices a guard (system) prompt: how many more sentences of attack each of its sentences costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seqtant.beb.config import GuardConfig
from seqtant.beb.estimation.intervals import interval
from seqtant.beb.instruments.measure import RESAMPLES
from seqtant.beb.study.components_study import open_study
from seqtant.beb.study.guarding import OWN, Guarded, attack, drawn_guards
from seqtant.beb.study.measurement import draw_rates, observe
from seqtant.beb.study.reporting import CLOSE, finite, record_alpha
from seqtant.beb.study.scope import DIRECTION, LIMITS
from seqtant.beb.study.summary import Summary, summarize
from seqtant.beb.study.transcript import prompt_lines, write_transcript
from seqtant.beb.study.truth import true_log_inverse_alpha
from seqtant.findings import Cell, Estimate, Result
from seqtant.lm.text import encode
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder


@dataclass(frozen=True)
class Halfways:
    """Half-way lengths behind one guard."""

    behind: Guarded
    measured: Estimate
    predicted: Estimate | None
    """From alpha, by Bayes' rule; None where there is no alpha."""
    believed: Estimate
    """From the weights that the model itself gives to P-."""


def run(config: GuardConfig, context: Context) -> Result:
    """Measures the half-way length behind guards.

    Raises:
        InputError: A side cannot be opened or prompts do not fit.
    """
    title = f"What guard prompts cost an attack on {config.model}"
    with Recorder("beb.guard", title, config, context, papers=(3,)) as record:
        study = open_study(config, context)
        observed = observe(study, context)
        generator = np.random.default_rng([context.seed, RESAMPLES])
        summary = summarize(observed, study.config, generator)
        record_alpha(record, summary, true_log_inverse_alpha(study.config))
        openings = {str(length): drawn_guards(study, length) for length in sorted(set(config.lengths))}
        if config.guard:
            openings[OWN] = [
                (*study.opening, *encode(study.minus, [" " + config.guard], start=False)[0])
            ] * config.prompts
        guarded = [attack(study, name, starts) for name, starts in openings.items()]
        _record(record, config, guarded, summary, generator)
        write_transcript(record, study, prompt_lines(study, observed.prompts, guard="0"))
    return record.result


def _record(
    record: Recorder, config: GuardConfig, guarded: Sequence[Guarded], summary: Summary, generator: np.random.Generator
) -> None:
    rows: list[tuple[Cell, ...]] = []
    found: list[Halfways] = []
    for each in guarded:
        lengths = _halfways(each, summary, config.resamples, generator)
        found.append(lengths)
        label = "your own" if each.name == OWN else each.name
        cells = [_cell(one) for one in (lengths.predicted, lengths.believed, lengths.measured)]
        rows.append((label, round(float(each.against.mean()), 3), *cells))
        record.value(f"halfway_guard_{each.name}", finite(lengths.measured.value))
        record.value(f"halfway_predicted_guard_{each.name}", lengths.predicted and finite(lengths.predicted.value))
        record.value(f"halfway_believed_guard_{each.name}", finite(lengths.believed.value))
        for n, value in zip(each.places, each.curves["model"].mean(axis=0), strict=True):
            record.measure("behavior", float(value), step=n, group=label)
    columns = ("guard sentences", "nats to make up", "half-way predicted", "by the model's own weights", "measured")
    record.table("guards", "Sentences of P- to the half-way point behind a guard", columns, rows, note=DIRECTION)
    _price(record, found, summary)


def _cell(length: Estimate | None) -> str | None:
    return (
        None
        if length is None or finite(length.value) is None
        else f"{replace(length, unit='').number} {length.interval}"
    )


def _halfways(each: Guarded, summary: Summary, resamples: int, generator: np.random.Generator) -> Halfways:
    """All half-way lengths behind one guard, on the same resampled guards and prompts."""
    count, area = len(each.against), summary.drawn["log_inverse_alpha"]
    everyone, drawn = np.arange(count), list[tuple[float, float, float]]()
    for number in range(resamples):
        rows, rates = generator.integers(count, size=count), draw_rates(each.check, generator)
        predicted = each.predicted(rows, area[number % len(area)], rates)
        drawn.append((each.halfway(rows, rates), predicted, each.believed(rows, rates)))
    values = each.halfway(everyone), each.predicted(everyone, summary.area.value), each.believed(everyone)
    measured, predicted, believed = (
        interval(value, list(draws), count, "sentences", each.check)
        for value, draws in zip(values, zip(*drawn, strict=True), strict=True)
    )
    return Halfways(each, measured, None if summary.refused else predicted, believed)


def _price(record: Recorder, found: Sequence[Halfways], summary: Summary) -> None:
    plain = next(each.measured for each in found if each.behind.name == "0")
    pairs = [each for each in found if each.behind.name not in {"0", OWN} and finite(each.measured.value) is not None]
    if not pairs or finite(plain.value) is None:
        record.warn("the half-way point lies beyond the prompts: ask for more sentences")
        return
    longest, measured = pairs[-1].behind, pairs[-1].measured
    price = (measured.value - plain.value) / longest.sentences
    theory = summary.estimates["beta_prime"].value / summary.estimates["beta"].value
    record.value("price_per_guard_sentence", price)
    record.value("price_theorem_2", theory)
    pushed = measured.low is not None and plain.high is not None and measured.low > plain.high
    apart = {each.behind.name: _distance(each.predicted, each.measured) for each in pairs if each.predicted is not None}
    believed = {
        each.behind.name: _distance(each.believed, each.measured)
        for each in pairs
        if finite(each.believed.value) is not None
    }
    record.finding(
        "guard",
        "How many sentences of attack does a guard sentence cost?",
        "inconclusive" if not apart else "agrees" if max(apart.values()) <= CLOSE else "disagrees",
        f"{price:.2f} (over {longest.sentences:g} sentences; Theorem 2 allows {theory:.2f} and a margin): the half-way "
        f"point moves from {plain.number} to {measured.number}"
        + (". " if pushed else "; the intervals overlap. ")
        + _apart(apart)
        + (
            f" With the weights that the model itself gives to P-, by any rule: {_listed(believed)}."
            if believed
            else ""
        ),
        predicted=pairs[-1].predicted,
        measured=measured,
        assumptions=LIMITS,
        advice="A guard delays; it does not remove what the model holds.",
    )


def _distance(one: Estimate, measured: Estimate) -> float:
    """Relative distance of a length from the measured one."""
    return abs(one.value / measured.value - 1)


def _apart(apart: Mapping[str, float]) -> str:
    if not apart:
        return "Nothing is predicted, because no log(1/alpha) can be given."
    return (
        f"Predicted and measured are apart by {_listed(apart)} sentence{'' if list(apart) == ['1'] else 's'} of guard."
    )


def _listed(apart: Mapping[str, float]) -> str:
    return ", ".join(f"{100 * value:.0f} % for {name}" for name, value in apart.items())
