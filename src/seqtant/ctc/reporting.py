"""How latencies and word errors are written into a result: the same names and words in every verb."""

from __future__ import annotations

from collections.abc import Sequence

from seqtant.ctc.recognition.latency import Comparison, LatencySummary, WordDelay
from seqtant.findings import Assumption, Estimate, Verdict
from seqtant.runs.recorder import Recorder

WORDS_SHOWN = 40
"""Rows of the table of words."""


def warn_untimed(record: Recorder, names: Sequence[str], total: int) -> None:
    """Says on how many utterances no delay could be measured."""
    if names:
        record.warn(
            f"{len(names)} of {total} test utterances have no word times, '{names[0]}' first: they count for word "
            "errors, not for delays; 'words' in the list gives the times."
        )


def warn_cramped(record: Recorder, names: Sequence[str], total: int) -> None:
    """Says from how many utterances nothing could be learned."""
    if names:
        record.warn(
            f"{len(names)} of {total} training utterances are too short for their texts, '{names[0]}' first: CTC needs "
            "a model frame per label, and one between equal labels; nothing was learned from them."
        )


def record_summary(record: Recorder, summary: LatencySummary) -> None:
    """Headline numbers of one system, and a table with their intervals."""
    numbers = {
        "wer": summary.wer,
        "mean_delay_ms": summary.after_start,
        "p50_ms": summary.median,
        "p90_ms": summary.p90,
        "mean_delay_after_end_ms": summary.after_end,
        "first_token_ms": summary.first,
        "last_token_ms": summary.last,
    }
    for name, estimate in numbers.items():
        record.value(name, None if estimate is None else estimate.value)
    record.value("substitutions", summary.errors.substitutions)
    record.value("insertions", summary.errors.insertions)
    record.value("deletions", summary.errors.deletions)
    record.value("words", summary.errors.words)
    meanings = (
        "word error rate, %",
        "delay after the word's start: mean, ms",
        "delay after the word's start: median, ms",
        "delay after the word's start: 90th percentile, ms",
        "delay after the word's end: mean, ms",
        "first emission after the start of speech: mean, ms",
        "last emission after the end of speech (drain): mean, ms",
    )
    rows = [(text, *interval_cells(estimate)) for text, estimate in zip(meanings, numbers.values(), strict=True)]
    record.table(
        "latency",
        "Word errors and delays",
        ("quantity", "value", "low", "high"),
        rows,
        note="Delays are those of correctly recognized words; intervals resample whole utterances (95 %).",
    )


def interval_cells(estimate: Estimate | None) -> tuple[float | None, float | None, float | None]:
    """Value, low and high of an estimate for a table, rounded for people."""
    if estimate is None:
        return None, None, None
    return tuple(None if x is None else round(x, 3) for x in (estimate.value, estimate.low, estimate.high))  # type: ignore[return-value]


def record_comparison(record: Recorder, change: Comparison, name: str, *, suffix: str = "") -> None:
    """Paired change of delay and word errors as two findings and two values."""
    record.value(f"delay_change_ms{suffix}", None if change.delay is None else change.delay.value)
    record.value(f"wer_change{suffix}", change.wer.value)
    record.finding(
        f"earlier{suffix}",
        f"Is {name} earlier, on the same words?",
        direction(change.delay),
        _words_of(change.delay, "ms", "earlier", "later") + f", over {change.words} words both got right.",
        measured=change.delay,
        assumptions=(
            Assumption(
                statement="The difference is not a matter of which words were recognized",
                status="holds",
                how="only words that both systems got right are compared",
            ),
        ),
    )
    record.finding(
        f"errors{suffix}",
        f"Does {name} make fewer word errors?",
        direction(change.wer),
        _words_of(change.wer, "points", "fewer", "more"),
        measured=change.wer,
    )


def direction(change: Estimate | None) -> Verdict:
    """``agrees`` where a change is below 0 beyond its interval, ``disagrees`` where it is above, else inconclusive."""
    if change is None or change.low is None or change.high is None:
        return "inconclusive"
    return "agrees" if change.high < 0 else "disagrees" if change.low > 0 else "inconclusive"


def _words_of(change: Estimate | None, unit: str, less: str, more: str) -> str:
    if change is None:
        return "No word was right in both systems"
    return f"{abs(change.value):.3g} {unit} {less if change.value < 0 else more}"


def record_words(record: Recorder, delays: Sequence[WordDelay]) -> None:
    """Every delay as a raw row, and the latest words as a table."""
    for delay in delays:
        record.measure("delay", delay.after_start, unit="ms", group=delay.word)
    late = sorted(delays, key=lambda delay: -delay.after_start)[:WORDS_SHOWN]
    if late:
        record.table(
            "words",
            f"The {len(late)} latest words",
            ("recording", "word", "after start, ms", "after end, ms"),
            [(d.utterance, d.word, round(d.after_start, 1), round(d.after_end, 1)) for d in late],
        )
