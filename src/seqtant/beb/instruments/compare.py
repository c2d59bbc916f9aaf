"""Compares alpha, beta and the half-way length before and after an alignment stage, on the same prompts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from seqtant.beb.components.finetune import finetune
from seqtant.beb.components.loading import Component, open_components
from seqtant.beb.config import CompareConfig
from seqtant.beb.estimation.estimates import bootstrap_interval
from seqtant.beb.study.inputs import Study, open_study, title_of
from seqtant.beb.study.measurement import Measurement, implied_posterior
from seqtant.beb.study.reporting import DIRECTION, LIMITS, finite, record_prompts, verdict_of_change
from seqtant.beb.study.summary import RESAMPLES, Summary, measure_and_summarize, numbers
from seqtant.errors import InputError
from seqtant.findings import Cell, Estimate, Result
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb

DOCUMENTS = 70
"""Last part of the seed of the documents of an alignment stage."""
SHOWN = ("log_inverse_alpha", "floor", "halfway_predicted", "halfway_measured", "misalign_tight")
STAGES = ("before", "after")


@verb(CompareConfig)
def compare(config: CompareConfig, context: Context) -> Result:
    """Compares alpha, beta and the half-way length of a model before and after an alignment stage.

    Both models read the same prompts from P-; without a second one, a copy is trained on sentences of P+ alone.
    Changes have intervals over resampled prompts, so that what the prompts have in common cancels.

    Returns:
        log(1/alpha), floor and half-way lengths of both, and by how much alignment moved them.

    Raises:
        InputError: A model cannot be opened, P- is missing, or the model has no weights to align.

    Example:
        >>> found = compare("reference", "world", prompts=8, sentences=8, resamples=50)
        >>> found.values["converged_after"]
        1
    """
    name = "a copy aligned here" if config.after is None else title_of(config.after)
    with Recorder("beb.compare", f"{title_of(config.model)} against {name}", config, context, papers=(3,)) as record:
        before = open_study(config, context)
        if config.after is None:
            # An alignment stage in miniature: a copy learns documents of P+ alone, none of them twice.
            if not isinstance(before.model, HuggingFaceLM):
                raise InputError(
                    f"'{before.model.name}' has no weights to align: give --after, a model after its alignment"
                )
            openings = [before.opening] * (config.training.steps * config.batch)
            documents = before.sample(before.plus, DOCUMENTS, openings=openings).prompts
            model = finetune(before.model, documents, config.training, config.batch, context, name="aligned")
        else:
            source = {"after": Component(config.after, config.system)}
            model = open_components(source, device=context.device, dtype=config.dtype)["after"]
        studies = (before, replace(before, model=model))
        measured, summaries, believed = [], [], list[float]()
        for study in studies:
            one, summary, _ = measure_and_summarize(study, context)
            measured.append(one)
            summaries.append(summary)
            # Half-way length by the weights that the model itself gives to P-, by any rule.
            posterior = implied_posterior(study.model, study.minus, study.plus, one.prompts)
            everyone = np.arange(len(one.model))
            believed.append(posterior.halfway_length(one.minus, one.plus, one.lengths, everyone))
        rows: list[tuple[Cell, ...]] = []
        for quantity in SHOWN:
            cells: list[Cell] = [quantity.replace("_", " ")]
            for stage, summary in zip(STAGES, summaries, strict=True):
                estimate = summary.estimates[quantity]
                refused = summary.refused and quantity not in {"floor", "halfway_measured"}
                given = finite(estimate.value) is not None and not refused
                record.value(f"{quantity}_{stage}", estimate.value if given else None)
                missing = "refused" if refused else "beyond the prompts"
                cells.append(f"{estimate.number} {estimate.interval}" if given else missing)
            rows.append(tuple(cells))
        for stage, summary, length in zip(STAGES, summaries, believed, strict=True):
            record.value(f"converged_{stage}", int(not summary.refused))
            record.value(f"systematic_error_{stage}", summary.diagnostics.systematic)
            record.value(f"halfway_believed_{stage}", finite(length))
        shown = (round(length, 2) if finite(length) else "beyond the prompts" for length in believed)
        rows.append(("halfway by the model's own weights", *shown))
        record.table("models", "Before and after", ("quantity", "before", "after"), rows, note=DIRECTION)
        _record_changes(record, measured, summaries, before, np.random.default_rng([context.seed, RESAMPLES + 1]))
        for stage, one in zip(STAGES, measured, strict=True):
            for n, value in zip(one.lengths, one.model.mean(axis=0), strict=True):
                record.measure("behavior", float(value), step=n, group=stage)
        record_prompts(record, before, measured[0])
    return record.result


def _record_changes(
    record: Recorder,
    measured: list[Measurement],
    summaries: list[Summary],
    study: Study,
    generator: np.random.Generator,
) -> None:
    """Records what alignment did to log(1/alpha) and to the half-way length, after minus before."""
    alpha = _difference(measured, study, "log_inverse_alpha", generator)
    assert alpha is not None  # the area is a finite number before and after
    reasons = [
        f"{stage.capitalize()} alignment: {'; '.join(summary.diagnostics.refusals)}"
        for stage, summary in zip(STAGES, summaries, strict=True)
        if summary.refused
    ]
    record.value("log_inverse_alpha_change", None if reasons else alpha.value)
    record.finding(
        "alpha",
        "Did alignment make the bad part rarer?",
        "inconclusive" if reasons else verdict_of_change(alpha),
        f"No number is given. {'. '.join(reasons)}."
        if reasons
        else f"log(1/alpha) changes by {alpha.number} {alpha.interval}; alignment makes alpha small, never zero.",
        measured=None if reasons else alpha,
        assumptions=LIMITS,
    )
    moved = _difference(measured, study, "halfway_measured", generator)
    there = moved if moved is not None and finite(moved.value) is not None else None
    when = "Before" if moved is None else "After"
    record.value("halfway_change", there and there.value)
    record.finding(
        "halfway",
        "Did alignment push the half-way length out?",
        verdict_of_change(there) if there else "inconclusive",
        f"It moves by {there.number} {there.interval}."
        if there
        else f"{when} alignment it lies beyond the prompts: ask for more sentences.",
        measured=there,
        advice=DIRECTION,
    )


def _difference(
    measured: list[Measurement], study: Study, name: str, generator: np.random.Generator
) -> Estimate | None:
    """After minus before, on the same resampled prompts; None where there was no number before."""
    config, count, plus_count = study.config, len(measured[0].model), len(measured[0].from_plus.divergence)

    def gap(*resample: Any) -> float:
        first, second = (numbers(one.select(*resample), eps=config.eps, delta=config.delta)[name] for one in measured)
        return second - first if np.isfinite(first) else float("nan")

    # Both models see the same resampled prompts, so what prompts have in common cancels.
    gaps = [gap(*measured[0].resample(generator)) for _ in range(config.resamples)]
    value = gap(np.arange(count), np.arange(plus_count))
    if np.isnan(value):
        return None
    unit = "nats" if name == "log_inverse_alpha" else "sentences"
    return bootstrap_interval(value, [one for one in gaps if not np.isnan(one)], count, unit, measured[0].check)
