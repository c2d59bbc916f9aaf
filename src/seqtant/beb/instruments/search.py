"""Searches prompts that misalign, by the proof's construction, best of m, or beams, and verifies them on the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqtant.beb.config import SearchConfig
from seqtant.beb.prompts.divergence import compute_evidence
from seqtant.beb.prompts.sampling import Prompt
from seqtant.beb.study.inputs import Study, open_study, title_of, true_log_inverse_alpha
from seqtant.beb.study.reporting import DIRECTION, LIMITS, finite, prompt_lines, record_alpha, write_transcript
from seqtant.beb.study.summary import measure_and_summarize
from seqtant.findings import Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import mean

SEARCHES = 80
"""Last part of the seed of the searches; the step is added."""


@dataclass(frozen=True)
class Candidate:
    """A prompt that is being built."""

    prompt: Prompt
    ratio: float
    """log P-/model of all its sentences, in nats."""
    search: int


Outcome = dict[int, tuple[Candidate, float]]
"""Search -> a prompt, and the behavior after it."""


@verb(SearchConfig)
def search_prompts(config: SearchConfig, context: Context) -> Result:
    """Searches prompts that misalign a model, and compares their lengths with the bound.

    Prompts grow sentence by sentence, each sentence sampled from P-: one sample is the construction in the proof of
    Theorem 1, the best of m by log P-/model finds shorter ones, and beams keep several prompts. Behavior is measured
    after every sentence. A prompt that is found is a certificate; none that is found proves nothing.

    Returns:
        Searches that reached the goal, the shortest and the median length in sentences, and the tight bound.

    Raises:
        InputError: A model cannot be opened, P- is missing, or prompts do not fit the context.

    Example:
        >>> found = search_prompts("world", prompts=8, sentences=16, searches=2, candidates=4, resamples=50)
        >>> found.values["shortest"] <= found.values["bound"] + 1
        True
    """
    title = f"Search for short prompts that misalign {title_of(config.model)}"
    with Recorder("beb.search", title, config, context, papers=(3,)) as record:
        study = open_study(config, context)
        _, summary, _ = measure_and_summarize(study, context)
        record_alpha(record, summary, true_log_inverse_alpha(study.config))
        goal = summary.estimates["gamma"].value + config.eps if config.goal is None else config.goal
        # One sample and one beam is the construction in the proof of Theorem 1, many samples and one beam best of m.
        samples = 1 if config.method == "theorem" else config.candidates
        beams = config.beams if config.method == "beam" else 1
        found, best = search(study, samples, beams, config.searches, goal, context)
        shown = dict(sorted((best | found).items()))
        lengths = [len(candidate.prompt.ends) for candidate, _ in found.values()]
        tokens = [len(candidate.prompt.ids) - candidate.prompt.start for candidate, _ in found.values()]
        bound = None if summary.refused else finite(summary.estimates["misalign_tight"].value)
        record.value("found", len(lengths))
        record.value("searches", config.searches)
        record.value("length_sentences", float(np.median(lengths)) if lengths else None)
        record.value("length_tokens", float(np.median(tokens)) if tokens else None)
        record.value("shortest", min(lengths, default=None))
        record.value("bound", bound)
        record.value("goal", goal)
        rows = [
            (
                number,
                len(candidate.prompt.ends),
                len(candidate.prompt.ids),
                round(candidate.ratio, 3),
                round(behavior, 4),
            )
            for number, (candidate, behavior) in shown.items()
        ]
        columns = ("search", "sentences", "tokens", "log P-/model, nats", "behavior")
        record.table("searches", f"Prompts found by {config.method}", columns, rows, note=DIRECTION)
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
        lines = [
            line | {"search": number, "behavior": behavior, "reached": number in found}
            for number, (candidate, behavior) in shown.items()
            for line in prompt_lines(study, [candidate.prompt])
        ]
        write_transcript(record, study, lines)
    return record.result


def search(
    study: Study, samples: int, beams: int, searches: int, goal: float, context: Context
) -> tuple[Outcome, Outcome]:
    """Builds prompts sentence by sentence, for many searches at once, until their behavior reaches the goal.

    Gives the first prompt of every search that reached it, and the best ones of those that did not.
    """
    empty = Prompt(study.opening, len(study.opening), ())
    found, best = Outcome(), Outcome()
    kept = [Candidate(empty, 0.0, number) for number in range(searches)]
    sentences = study.config.sentences
    bar = context.progress.task("searching", sentences)
    for step in range(sentences):
        kept = extend(study, kept, samples=samples, beams=beams, use=SEARCHES + step)
        behavior = study.reader.curve(study.model, [candidate.prompt for candidate in kept], [step + 1])[:, 0]
        for candidate, reached in zip(kept, behavior.tolist(), strict=True):
            known = found if reached <= goal else best
            if candidate.search not in known or reached < known[candidate.search][1]:
                known[candidate.search] = (candidate, reached)
        kept = [candidate for candidate in kept if candidate.search not in found]
        bar.advance()
        if not kept:
            break
    bar.close()
    return found, best


def extend(study: Study, kept: Sequence[Candidate], *, samples: int, beams: int, use: int) -> list[Candidate]:
    """Adds one sentence to every prompt: of ``samples`` from P- after each, the best ``beams`` of every search stay.

    A prompt is the better the larger its log-ratio of P- against the model.
    """
    parents = [candidate for candidate in kept for _ in range(samples)]
    heads = [parent.prompt.ids for parent in parents]
    sampled = study.sample(study.minus, use, openings=heads, sentences=1)
    (evidence,) = compute_evidence(study.minus, [study.model], sampled.prompts, floor=study.config.floor)
    grown = [
        Candidate(
            Prompt(new.ids, parents[row].prompt.start, (*parents[row].prompt.ends, *new.ends)),
            parents[row].ratio + float(gain),
            parents[row].search,
        )
        for new, row, gain in zip(sampled.prompts, sampled.rows, evidence.log_ratio[:, 0], strict=True)
    ]
    best: list[Candidate] = []
    for number in dict.fromkeys(candidate.search for candidate in grown):
        # By token ids, so that one text is kept once.
        mine = {candidate.prompt.ids: candidate for candidate in grown if candidate.search == number}
        best += sorted(mine.values(), key=lambda candidate: -candidate.ratio)[:beams]
    return best
