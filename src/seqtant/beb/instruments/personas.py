"""Finds the persona that a prompt brings out soonest: often a narrow one, not the whole of what is bad."""

from __future__ import annotations

from dataclasses import replace

from seqtant.beb.components.loading import WORLD, Component, known_name, open_components
from seqtant.beb.config import PersonasConfig, StudySettings
from seqtant.beb.study.inputs import open_study, title_of, true_log_inverse_alpha
from seqtant.beb.study.reporting import DIRECTION, LIMITS, finite, prompt_lines, write_transcript
from seqtant.beb.study.summary import Summary, measure_and_summarize
from seqtant.errors import InputError
from seqtant.findings import Cell, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import ModelSource

WHOLE = "all of P-"


@verb(PersonasConfig)
def rank_personas(config: PersonasConfig, context: Context) -> Result:
    """Ranks personas by the length of prompt that brings each out: often a narrow one, not the whole of what is bad.

    Each persona is P- of a measurement of its own, with everything else as P+ where that is known.

    Returns:
        log(1/weight) and beta of every persona in nats, and the length in sentences by which it breaks through.

    Raises:
        InputError: A model cannot be opened, or no personas are named.

    Example:
        >>> found = rank_personas("world", prompts=8, sentences=16, resamples=50)
        >>> round(found.values["log_inverse_weight_gloomy"], 3)  # it weighs 3 %
        3.507
    """
    title = f"Which persona breaks {title_of(config.model)} soonest?"
    with Recorder("beb.personas", title, config, context, papers=(3,)) as record:
        study = open_study(config, context)
        measurement, summary, _ = measure_and_summarize(study, context)
        found = {WHOLE: (study.config, summary)}
        # Persona -> the source of P-, and that of everything else where it is known.
        parts: dict[str, tuple[ModelSource, str | None]] = {
            name: (source, None) for name, source in config.personas.items()
        }
        if WHOLE in parts:
            raise InputError(f"'{WHOLE}' is no name for a persona: it stands for P-")
        if not parts:
            kind, _, names = known_name(study.config.minus).partition(":")
            chosen = [name.strip() for name in names.split(",") if name.strip()]
            if kind != WORLD or not chosen:
                raise InputError("personas are missing: give a mapping from names to sides, personas: {name: folder}")
            from seqtant.reference import WorldSettings

            everyone = [persona.name for persona in WorldSettings().talk.personas]
            for name in chosen:
                others = ",".join(other for other in everyone if other != name)
                parts[name] = (f"{WORLD}:{name}", f"{WORLD}:{others}")
        for name, (minus, plus) in parts.items():
            sources = {"P-": Component(minus)} | ({"P+": Component(plus)} if plus else {})
            opened = open_components(sources, device=context.device, dtype=config.dtype)
            # The study of one persona: its P-, and where known everything else as P+.
            part = replace(
                study,
                config=replace(study.config, minus=minus, plus=plus or study.config.plus),
                minus=opened["P-"],
                plus=opened.get("P+", study.plus),
            )
            found[name] = (part.config, measure_and_summarize(part, context)[1])
        _record(record, found)
        write_transcript(record, study, prompt_lines(study, measurement.prompts, persona=WHOLE))
    return record.result


def _record(record: Recorder, found: dict[str, tuple[StudySettings, Summary]]) -> None:
    rows: list[tuple[Cell, ...]] = []
    lengths: dict[str, float] = {}
    for name, (config, summary) in found.items():
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
        numbers = (known and round(known, 3), round(beta.value, 3), length and round(length, 2), finite(halfway.value))
        rows.append((name, shown, *numbers))
    columns = ("persona", "log(1/weight)", "true", "beta", "fails by, sentences", "half-way measured")
    record.table("personas", "Personas and the length by which each breaks through", columns, rows, note=DIRECTION)
    if not lengths:
        record.warn("no persona passed the gate: no length can be given")
        return
    soonest = min(lengths, key=lambda name: lengths[name])
    summary = found[soonest][1]
    whole = f"; all of P- together by {lengths[WHOLE]:.2f}" if WHOLE in lengths and soonest != WHOLE else ""
    record.value("soonest_length", lengths[soonest])
    record.finding(
        "soonest",
        "Which persona breaks through soonest?",
        "agrees",
        f"{soonest[0].upper()}{soonest[1:]}: by {lengths[soonest]:.2f} sentences{whole}.",
        predicted=summary.estimates["misalign_tight"],
        measured=summary.estimates["halfway_measured"] if finite(summary.estimates["halfway_measured"].value) else None,
        assumptions=LIMITS,
        advice="Guard against the narrow persona, not only against bad behavior as a whole.",
    )
