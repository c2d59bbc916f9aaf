"""Finds the persona that a prompt brings out soonest: often a narrow one, not the whole of what is bad."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seqtant.beb.components.loading import Side, open_sides
from seqtant.beb.config import PersonasConfig, Sides
from seqtant.beb.instruments.measure import RESAMPLES
from seqtant.beb.study.components_study import Study, open_study, with_defaults
from seqtant.beb.study.measurement import Observed, observe
from seqtant.beb.study.reporting import finite
from seqtant.beb.study.scope import DIRECTION, LIMITS
from seqtant.beb.study.summary import Summary, summarize
from seqtant.beb.study.transcript import prompt_lines, write_transcript
from seqtant.beb.study.truth import true_log_inverse_alpha
from seqtant.errors import InputError
from seqtant.findings import Cell, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

WHOLE = "all of P-"


def run(config: PersonasConfig, context: Context) -> Result:
    """Scans the personas.

    Raises:
        InputError: A persona cannot be opened, or its name is taken.
    """
    title = f"Which persona breaks {config.model} soonest?"
    with Recorder("beb.personas", title, config, context, papers=(3,)) as record:
        study = open_study(config, context)
        found = {WHOLE: (study.config, *_measure(study, context))}
        for name, (minus, plus) in _parts(study).items():
            sides = {"P-": Side(minus), "P+": Side(plus)} if plus else {"P-": Side(minus)}
            opened = open_sides(sides, device=context.device, dtype=config.dtype)
            part = replace(
                study,
                config=replace(study.config, minus=minus, plus=plus or study.config.plus),
                minus=opened["P-"],
                plus=opened.get("P+", study.plus),
            )
            found[name] = (part.config, *_measure(part, context))
        _record(record, found)
        write_transcript(record, study, prompt_lines(study, found[WHOLE][1].prompts, persona=WHOLE))
    return record.result


def _parts(study: Study) -> dict[str, tuple[str, str | None]]:
    """Persona -> its side, and that of everything else where that is known."""
    config = study.config
    assert isinstance(config, PersonasConfig)
    if config.personas:
        if WHOLE in config.personas:
            raise InputError(f"'{WHOLE}' is no name for a persona: it stands for P-")
        return {name: (source, None) for name, source in config.personas.items()}
    minus = with_defaults(config).minus or ""
    names = [name.strip() for name in minus.partition(":")[2].split(",") if name.strip()]
    if not minus.startswith("world:") or not names:
        raise InputError("personas are missing: give a mapping from names to sides, personas: {name: folder}")
    from seqtant.reference import WorldSettings

    everyone = [persona.name for persona in WorldSettings().talk.personas]
    return {
        name: (f"world:{name}", "world:" + ",".join(other for other in everyone if other != name)) for name in names
    }


def _measure(study: Study, context: Context) -> tuple[Observed, Summary]:
    observed = observe(study, context)
    return observed, summarize(observed, study.config, np.random.default_rng([context.seed, RESAMPLES]))


def _record(record: Recorder, found: dict[str, tuple[Sides, Observed, Summary]]) -> None:
    rows: list[tuple[Cell, ...]] = []
    lengths: dict[str, float] = {}
    for name, (config, _, summary) in found.items():
        known = true_log_inverse_alpha(config)
        read, beta, halfway = (summary.estimates[key] for key in ("log_inverse_alpha", "beta", "halfway_measured"))
        length = None if summary.refused else finite(summary.estimates["misalign_tight"].value)
        if length is not None:
            lengths[name] = length
        key = "whole" if name == WHOLE else name
        record.value(f"log_inverse_weight_{key}", None if summary.refused else read.value)
        record.value(f"beta_{key}", beta.value)
        record.value(f"length_{key}", length)
        shown = "refused" if summary.refused else f"{read.number} {read.interval}"
        rows.append(
            (
                name,
                shown,
                known and round(known, 3),
                round(beta.value, 3),
                length and round(length, 2),
                finite(halfway.value),
            )
        )
    columns = ("persona", "log(1/weight)", "true", "beta", "fails by, sentences", "half-way measured")
    record.table("personas", "Personas and the length by which each breaks through", columns, rows, note=DIRECTION)
    if not lengths:
        record.warn("no persona passed the gate: no length can be given")
        return
    soonest = min(lengths, key=lambda name: lengths[name])
    summary = found[soonest][2]
    record.value("soonest_length", lengths[soonest])
    record.finding(
        "soonest",
        "Which persona breaks through soonest?",
        "agrees",
        f"{soonest[0].upper()}{soonest[1:]}: by {lengths[soonest]:.2f} sentences"
        + (f"; all of P- together by {lengths[WHOLE]:.2f}." if WHOLE in lengths and soonest != WHOLE else "."),
        predicted=summary.estimates["misalign_tight"],
        measured=summary.estimates["halfway_measured"] if finite(summary.estimates["halfway_measured"].value) else None,
        assumptions=LIMITS,
        advice="Guard against the narrow persona, not only against bad behavior as a whole.",
    )
