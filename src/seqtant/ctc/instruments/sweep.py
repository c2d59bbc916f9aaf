"""Compares methods from one checkpoint: how much earlier each makes the words, and how many word errors that costs."""

from __future__ import annotations

from itertools import pairwise

from seqtant.ctc.config import SweepConfig
from seqtant.ctc.decoding.word_errors import WordErrors
from seqtant.ctc.losses.registry import FEWER_ERRORS
from seqtant.ctc.recognition.latency import Comparison, discordant
from seqtant.ctc.reporting.report import direction, interval_cells
from seqtant.ctc.theory import words_to_resolve
from seqtant.ctc.training.sweep import Numbers, Point, Sweep, change_of, numbers
from seqtant.findings import Assumption, Estimate, Result, Verdict
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

RELATIVE = 0.04
"""Relative change of the word error rate that a comparison of error counts should be able to see."""


def run(config: SweepConfig, context: Context) -> Result:
    """Trains the common checkpoint, every method from it, and measures all on the same utterances."""
    with Recorder("ctc.sweep", "Latency bought, word errors paid", config, context, papers=(2,)) as record:
        if config.data is None:
            record.warn("No data was given: tones stand in for speech, and nothing here says anything of speech.")
        sweep = Sweep(config, context)
        points = sweep.points()
        measured = [numbers(point, points[0], seed=context.seed) for point in points]
        if measured[0].delay is None:
            record.warn("No delay could be measured: the utterances have no word times, or nothing was recognized.")
        for point, found in zip(points, measured, strict=True):
            _record_point(record, point, found)
        for point, found in zip(points, measured, strict=True):
            if point.method in FEWER_ERRORS and found.change is not None:
                _record_errors(record, points[0], point, found.change)
        _record_table(record, points, measured)
        _record_monotone(record, points, context.seed)
        if config.zero_steps:
            _record_zero(record, sweep.zero_is_plain(), config.zero_steps)
    return record.result


def _record_point(record: Recorder, point: Point, found: Numbers) -> None:
    record.value(f"wer_{point.name}", found.wer.value)
    record.value(f"delay_ms_{point.name}", None if found.delay is None else found.delay.value)
    for seed, timings in enumerate(point.timings):
        words = sum(timing.errors.words for timing in timings)
        errors = sum(timing.errors.total for timing in timings)
        late = [delay.after_start for timing in timings for delay in timing.delays]
        record.measure("wer", 100 * errors / words, unit="%", seed=seed, group=point.name)
        if late:
            record.measure("delay", sum(late) / len(late), unit="ms", seed=seed, group=point.name)
    if found.change is None:
        return
    delay, wer = found.change.delay, found.change.wer
    record.finding(
        f"earlier_{point.name}",
        f"Does {point.method} at {point.weight:g} emit the same words earlier than plain CTC?",
        direction(delay),
        "No word was right in both."
        if delay is None
        else f"{-delay.value:.0f} ms earlier over words both got right, for {wer.value:+.2f} points of errors.",
        measured=delay,
        assumptions=(
            Assumption(
                statement="Both start from one checkpoint and see the same batches",
                status="holds",
                how="by construction of the sweep",
            ),
        ),
    )


def _record_errors(record: Recorder, plain_ctc: Point, point: Point, change: Comparison) -> None:
    """Whether a method asked for fewer errors makes fewer, and how many words it would take to see a small change."""
    before, after = (_errors(each) for each in (plain_ctc, point))
    differing = sum(discordant(a, b) for a, b in zip(plain_ctc.timings, point.timings, strict=True))
    needed = None
    if 0 < before.total < before.words:
        share = differing / before.total if differing else 1.0
        needed = words_to_resolve(RELATIVE, before.total / before.words, discordant=share)
    record.value("words_measured", before.words)
    record.value(f"words_needed_{point.name}", needed)
    record.finding(
        f"errors_{point.name}",
        f"Does {point.method} at {point.weight:g} make fewer word errors than plain CTC?",
        direction(change.wer),
        f"Substitutions {before.substitutions} to {after.substitutions}, insertions {before.insertions} to "
        f"{after.insertions}, deletions {before.deletions} to {after.deletions} on {before.words} words."
        + ("" if needed is None else f" To see {100 * RELATIVE:g} % relative takes about {needed} words."),
        measured=change.wer,
        advice="" if needed is None or needed <= before.words else "Measure on more words before choosing by this.",
    )


def _errors(point: Point) -> WordErrors:
    return sum((timing.errors for timings in point.timings for timing in timings), WordErrors(0, 0, 0, 0))


def _record_table(record: Recorder, points: list[Point], measured: list[Numbers]) -> None:
    pairs = list(zip(points, measured, strict=True))
    record.table(
        "frontier",
        "Latency against word errors",
        (
            "method",
            "weight",
            "WER, %",
            "WER low",
            "WER high",
            "delay, ms",
            "delay low",
            "delay high",
            "same words, ms",
            "WER change, points",
        ),
        [
            (
                point.method,
                point.weight,
                *interval_cells(found.wer),
                *interval_cells(found.delay),
                None if found.change is None else interval_cells(found.change.delay)[0],
                None if found.change is None else interval_cells(found.change.wer)[0],
            )
            for point, found in pairs
        ],
        note="Delays are after the word's start, of correct words; 'same words' is the change on words that plain CTC "
        "got right too. 95 %: over utterances with one seed, Student's t over seeds with several.",
    )
    record.table(
        "tails",
        "What is lost, and what is latest",
        ("method", "weight", "deletions, %", "p90, ms", "after end, ms", "last token, ms"),
        [
            (
                point.method,
                point.weight,
                round(found.deletions, 2),
                *(interval_cells(each)[0] for each in (found.p90, found.after_end, found.last)),
            )
            for point, found in pairs
        ],
        note="p90: of the delay after the word's start; after end: mean delay after its end; last token: after the "
        "end of speech.",
    )


def _record_monotone(record: Recorder, points: list[Point], seed: int) -> None:
    """Whether more weight means earlier words, step by step through the weights of Align With Purpose."""
    rising = sorted((point for point in points if point.method == "awp"), key=lambda point: point.weight)
    chain = [points[0], *(point for point in rising if point.weight > 0)]
    if len(chain) < 3:
        return
    steps = [change_of(a, b, seed=seed).delay for a, b in pairwise(chain)]
    verdicts = {direction(step) for step in steps}
    verdict: Verdict = (
        "agrees" if verdicts == {"agrees"} else "disagrees" if "disagrees" in verdicts else "inconclusive"
    )
    smallest = max((step for step in steps if step is not None), key=lambda step: step.value, default=None)
    record.finding(
        "monotone",
        "Is more weight always earlier?",
        verdict,
        " > ".join(f"{point.weight:g}" for point in reversed(chain[1:]))
        + " > plain CTC; measured: the smallest step between two neighbors.",
        measured=smallest,
    )


def _record_zero(record: Recorder, same: bool, steps: int) -> None:
    record.value("zero_is_ctc", int(same))
    record.finding(
        "zero",
        "Is weight 0 plain CTC?",
        "agrees" if same else "disagrees",
        f"After {steps} steps every weight of the network is {'the same to the bit' if same else 'NOT the same'}.",
        predicted=Estimate.exact(1, method="by definition of the loss"),
        measured=Estimate.exact(int(same), method="bitwise comparison of all weights"),
    )
