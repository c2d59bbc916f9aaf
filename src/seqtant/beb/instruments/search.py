"""Searches prompts that misalign, by the proof's construction, best of m, or beams, and verifies them on the model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from seqtant.beb.config import SearchConfig
from seqtant.beb.instruments.measure import RESAMPLES
from seqtant.beb.study.components_study import Study, open_study
from seqtant.beb.study.measurement import observe
from seqtant.beb.study.reporting import finite, record_alpha
from seqtant.beb.study.scope import DIRECTION, LIMITS
from seqtant.beb.study.search import Candidate, begin, behavior_after, extend
from seqtant.beb.study.summary import Summary, summarize
from seqtant.beb.study.transcript import prompt_lines, write_transcript
from seqtant.beb.study.truth import true_log_inverse_alpha
from seqtant.findings import Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import mean

SEARCHES = 80
"""Last part of the seed of the searches; the step is added."""


@dataclass
class _Course:
    """What became of the searches."""

    found: dict[int, tuple[Candidate, float]] = field(default_factory=dict[int, tuple[Candidate, float]])
    """Search -> its first prompt that reached the goal, and the behavior there."""
    last: dict[int, tuple[Candidate, float]] = field(default_factory=dict[int, tuple[Candidate, float]])
    """Search -> its best prompt at the end."""


def run(config: SearchConfig, context: Context) -> Result:
    """Searches.

    Raises:
        InputError: A side cannot be opened or prompts do not fit the context.
    """
    title = f"Search for short prompts that misalign {config.model}"
    with Recorder("beb.search", title, config, context, papers=(3,)) as record:
        study = open_study(config, context)
        observed = observe(study, context)
        summary = summarize(observed, study.config, np.random.default_rng([context.seed, RESAMPLES]))
        record_alpha(record, summary, true_log_inverse_alpha(study.config))
        goal = summary.estimates["gamma"].value + config.eps if config.goal is None else config.goal
        course = _search(study, config, goal, context)
        _record(record, config, course, summary, goal)
        lines = [
            line | {"search": number, "behavior": behavior, "reached": number in course.found}
            for number, (candidate, behavior) in sorted((course.last | course.found).items())
            for line in prompt_lines(study, [candidate.prompt])
        ]
        write_transcript(record, study, lines)
    return record.result


def _search(study: Study, config: SearchConfig, goal: float, context: Context) -> _Course:
    draws = 1 if config.method == "theorem" else config.candidates
    beams = config.beams if config.method == "beam" else 1
    course, kept = _Course(), begin(study, config.searches)
    bar = context.progress.task("searching", config.sentences)
    for step in range(config.sentences):
        kept = extend(study, kept, draws=draws, beams=beams, generator=study.generator(SEARCHES + step))
        for candidate, behavior in zip(kept, behavior_after(study, kept).tolist(), strict=True):
            known = course.found if behavior <= goal else course.last
            if candidate.search not in known or behavior < known[candidate.search][1]:
                known[candidate.search] = (candidate, behavior)
        kept = [candidate for candidate in kept if candidate.search not in course.found]
        bar.advance()
        if not kept:
            break
    bar.close()
    return course


def _record(record: Recorder, config: SearchConfig, course: _Course, summary: Summary, goal: float) -> None:
    lengths = [len(candidate.prompt.ends) for candidate, _ in course.found.values()]
    tokens = [len(candidate.prompt.ids) - candidate.prompt.start for candidate, _ in course.found.values()]
    bound = None if summary.refused else finite(summary.estimates["misalign_tight"].value)
    record.value("found", len(lengths))
    record.value("searches", config.searches)
    record.value("length_sentences", float(np.median(lengths)) if lengths else None)
    record.value("length_tokens", float(np.median(tokens)) if tokens else None)
    record.value("shortest", min(lengths, default=None))
    record.value("bound", bound)
    record.value("goal", goal)
    rows = [
        (number, len(candidate.prompt.ends), len(candidate.prompt.ids), round(candidate.ratio, 3), round(behavior, 4))
        for number, (candidate, behavior) in sorted((course.last | course.found).items())
    ]
    columns = ("search", "sentences", "tokens", "log P-/model, nats", "behavior")
    record.table("searches", f"Prompts found by {config.method}", columns, rows, note=DIRECTION)
    _finding(record, config, lengths, bound, goal)


def _finding(record: Recorder, config: SearchConfig, lengths: list[int], bound: float | None, goal: float) -> None:
    if lengths:
        within = bound is None or min(lengths) <= bound + 1
        words = f"{len(lengths)} of {config.searches} searches do, the shortest after {min(lengths)} sentences" + (
            f"; the tight bound is {bound:.2f}." if bound is not None else "; no bound can be given."
        )
        verdict = "inconclusive" if bound is None else "agrees" if within else "disagrees"
    else:
        verdict = "inconclusive"
        words = f"No search of up to {config.sentences} sentences did. That proves nothing: a better search may."
    record.finding(
        "search",
        f"Does a prompt bring the behavior down to {goal:.2f}?",
        verdict,
        words,
        predicted=None
        if bound is None
        else Estimate(value=bound, high=bound, unit="sentences", method="Theorem 1, tight"),
        measured=mean(lengths, unit="sentences") if lengths else None,
        assumptions=LIMITS,
        advice="A prompt that is found is a certificate; the texts are written with --write-prompts only.",
    )
