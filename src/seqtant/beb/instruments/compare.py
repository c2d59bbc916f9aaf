"""Compares alpha, beta and the half-way length before and after an alignment stage, on the same prompts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seqtant.beb.components.loading import Side, open_sides
from seqtant.beb.config import CompareConfig
from seqtant.beb.estimation.intervals import interval
from seqtant.beb.instruments.measure import RESAMPLES
from seqtant.beb.study.alignment import align
from seqtant.beb.study.components_study import Study, open_study
from seqtant.beb.study.measurement import Draw, Observed, Parts, observe
from seqtant.beb.study.posterior import own_weights
from seqtant.beb.study.reporting import finite, warn_of
from seqtant.beb.study.scope import DIRECTION, LIMITS
from seqtant.beb.study.summary import Summary, numbers, summarize
from seqtant.beb.study.transcript import prompt_lines, write_transcript
from seqtant.findings import Cell, Estimate, Result, Verdict
from seqtant.lm.interface import CausalLM
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

SHOWN = ("log_inverse_alpha", "floor", "halfway_predicted", "halfway_measured", "misalign_tight")


def run(config: CompareConfig, context: Context) -> Result:
    """Measures both models.

    Raises:
        InputError: A side cannot be opened, or the model cannot be aligned here.
    """
    name = config.after or "a copy aligned here"
    with Recorder("beb.compare", f"{config.model} against {name}", config, context, papers=(3,)) as record:
        before = open_study(config, context)
        after = replace(before, model=_after(before, config, context))
        observed = [observe(study, context) for study in (before, after)]
        summaries = [
            summarize(one, before.config, np.random.default_rng([context.seed, RESAMPLES])) for one in observed
        ]
        _table(record, summaries, [_believed(study, one) for study, one in zip((before, after), observed, strict=True)])
        generator = np.random.default_rng([context.seed, RESAMPLES + 1])
        _alpha(record, observed, summaries, before, generator)
        _halfway(record, observed, before, generator)
        for number, one in enumerate(observed):
            for n, value in zip(one.places, one.model.mean(axis=0), strict=True):
                record.measure("behavior", float(value), step=n, group=("before", "after")[number])
        warn_of(record, observed[0], own_plus=observed[0].own_plus is not None)
        write_transcript(record, before, prompt_lines(before, observed[0].prompts))
    return record.result


def _after(before: Study, config: CompareConfig, context: Context) -> CausalLM:
    if config.after is None:
        return align(before, config.training, config.batch, context)
    return open_sides({"after": Side(config.after, config.system)}, device=context.device, dtype=config.dtype)["after"]


def _believed(study: Study, observed: Observed) -> float:
    """Half-way length by the weights that the model itself gives to P-, by any rule."""
    weights = own_weights(Parts(study.model, study.minus, study.plus), observed.prompts)
    return weights.halfway(observed.minus, observed.plus, observed.places, np.arange(len(observed.model)))


def _table(record: Recorder, summaries: list[Summary], believed: list[float]) -> None:
    rows: list[tuple[Cell, ...]] = []
    for name in SHOWN:
        cells: list[Cell] = [name.replace("_", " ")]
        for side, summary in zip(("before", "after"), summaries, strict=True):
            estimate = summary.estimates[name]
            refused = summary.refused and name not in {"floor", "halfway_measured"}
            given = finite(estimate.value) is not None and not refused
            record.value(f"{name}_{side}", estimate.value if given else None)
            missing = "refused" if refused else "beyond the prompts"
            cells.append(f"{estimate.number} {estimate.interval}" if given else missing)
        rows.append(tuple(cells))
    for side, summary, length in zip(("before", "after"), summaries, believed, strict=True):
        record.value(f"converged_{side}", int(not summary.refused))
        record.value(f"systematic_error_{side}", summary.gates.systematic)
        record.value(f"halfway_believed_{side}", finite(length))
    shown = (round(length, 2) if finite(length) else "beyond the prompts" for length in believed)
    rows.append(("halfway by the model's own weights", *shown))
    record.table("models", "Before and after", ("quantity", "before", "after"), rows, note=DIRECTION)


def _difference(observed: list[Observed], study: Study, name: str, generator: np.random.Generator) -> Estimate | None:
    """After minus before, on the same resampled prompts; None where there was no number before."""
    count = len(observed[0].model)

    def gap(draw: Draw) -> float:
        first, second = (numbers(one.select(draw), study.config)[name] for one in observed)
        return second - first if np.isfinite(first) else float("nan")

    plus = len(observed[0].from_plus.divergence)
    draws = [gap(observed[0].draw(generator)) for _ in range(study.config.resamples)]
    value = gap(Draw(np.arange(count), np.arange(plus)))
    if np.isnan(value):
        return None
    unit = "nats" if name == "log_inverse_alpha" else "sentences"
    return interval(value, [draw for draw in draws if not np.isnan(draw)], count, unit, observed[0].check)


def _alpha(
    record: Recorder, observed: list[Observed], summaries: list[Summary], study: Study, generator: np.random.Generator
) -> None:
    refused = [side for side, summary in zip(("before", "after"), summaries, strict=True) if summary.refused]
    moved = _difference(observed, study, "log_inverse_alpha", generator)
    assert moved is not None  # the area is a finite number before and after
    record.value("log_inverse_alpha_change", None if refused else moved.value)
    record.finding(
        "alpha",
        "Did alignment make the bad part rarer?",
        "inconclusive" if refused else _direction(moved),
        _refused(summaries)
        if refused
        else f"log(1/alpha) changes by {moved.number} {moved.interval}; alignment makes alpha small, never zero.",
        measured=None if refused else moved,
        assumptions=LIMITS,
    )


def _refused(summaries: list[Summary]) -> str:
    """Which log(1/alpha) is not given, and why."""
    reasons = (
        f"{side} alignment: {'; '.join(summary.gates.refusals)}"
        for side, summary in zip(("Before", "After"), summaries, strict=True)
        if summary.refused
    )
    return f"No number is given. {'. '.join(reasons)}."


def _halfway(record: Recorder, observed: list[Observed], study: Study, generator: np.random.Generator) -> None:
    moved = _difference(observed, study, "halfway_measured", generator)
    there = moved if moved is not None and finite(moved.value) is not None else None
    when = "Before" if moved is None else "After"
    record.value("halfway_change", there and there.value)
    record.finding(
        "halfway",
        "Did alignment push the half-way length out?",
        _direction(there) if there else "inconclusive",
        f"It moves by {there.number} {there.interval}."
        if there
        else f"{when} alignment it lies beyond the prompts: ask for more sentences.",
        measured=there,
        advice=DIRECTION,
    )


def _direction(moved: Estimate) -> Verdict:
    """Whether a change is up for sure, down for sure, or neither."""
    if moved.low is not None and moved.low > 0:
        return "agrees"
    return "disagrees" if moved.high is not None and moved.high < 0 else "inconclusive"
