"""Writes latencies and word errors into a result, the same names and words in every verb; and a page that plays."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from seqtant.ctc.recognition.latency import Comparison, LatencySummary
from seqtant.data.speech import TimedWord, Utterance
from seqtant.findings import Assumption, Estimate, Verdict
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Recorder

OUTLINE_POINTS = 900
"""Columns of the drawn waveform."""


def warn_without_data(record: Recorder) -> None:
    """Warns that tones were spoken in place of anybody's data."""
    record.warn("No data was given: tones stand in for speech, and nothing here says anything of speech.")


def warn_without_timestamps(record: Recorder, names: Sequence[str], total: int) -> None:
    """Warns on how many utterances no delay could be measured."""
    if names:
        record.warn(
            f"{len(names)} of {total} test utterances have no word times, '{names[0]}' first: they count for word "
            "errors, not for delays; 'words' in the list gives the times."
        )


def warn_too_short(record: Recorder, names: Sequence[str], total: int) -> None:
    """Warns from how many utterances nothing could be learned."""
    if names:
        record.warn(
            f"{len(names)} of {total} training utterances are too short for their texts, '{names[0]}' first: CTC needs "
            "a model frame per label, and one between equal labels; nothing was learned from them."
        )


def record_summary(record: Recorder, summary: LatencySummary) -> None:
    """Records the numbers of one system, and a table with their intervals."""
    numbers = (
        ("wer", summary.wer, "word error rate, %"),
        ("mean_delay_ms", summary.after_start, "delay after the word's start: mean, ms"),
        ("p50_ms", summary.median, "delay after the word's start: median, ms"),
        ("p90_ms", summary.p90, "delay after the word's start: 90th percentile, ms"),
        ("mean_delay_after_end_ms", summary.after_end, "delay after the word's end: mean, ms"),
        ("first_token_ms", summary.first, "first emission after the start of speech: mean, ms"),
        ("last_token_ms", summary.last, "last emission after the end of speech (drain): mean, ms"),
    )
    for name, estimate, _ in numbers:
        record.value(name, None if estimate is None else estimate.value)
    for name in ("substitutions", "insertions", "deletions", "words"):
        record.value(name, getattr(summary.errors, name))
    record.table(
        "latency",
        "Word errors and delays",
        ("quantity", "value", "low", "high"),
        [(meaning, *interval_cells(estimate)) for _, estimate, meaning in numbers],
        note="Delays are those of correctly recognized words; intervals resample whole utterances (95 %).",
    )


def interval_cells(estimate: Estimate | None, digits: int = 3) -> tuple[float | None, float | None, float | None]:
    """Rounds value, low and high of an estimate for a table."""
    if estimate is None:
        return None, None, None
    return tuple(None if x is None else round(x, digits) for x in (estimate.value, estimate.low, estimate.high))  # type: ignore[return-value]


def record_comparison(record: Recorder, change: Comparison, name: str, *, suffix: str = "") -> None:
    """Records a paired change of delay and word errors as two findings and two values."""
    record.value(f"delay_change_ms{suffix}", None if change.delay is None else change.delay.value)
    record.value(f"wer_change{suffix}", change.wer.value)
    record.finding(
        f"earlier{suffix}",
        f"Is {name} earlier, on the same words?",
        verdict_of_decrease(change.delay),
        _in_words(change.delay, "ms", "earlier", "later") + f", over {change.words} words both got right.",
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
        verdict_of_decrease(change.wer),
        _in_words(change.wer, "points", "fewer", "more"),
        measured=change.wer,
    )


def verdict_of_decrease(change: Estimate | None) -> Verdict:
    """Decides whether a change is below 0: ``agrees`` or ``disagrees`` beyond its interval, else ``inconclusive``."""
    if change is None or change.low is None or change.high is None:
        return "inconclusive"
    return "agrees" if change.high < 0 else "disagrees" if change.low > 0 else "inconclusive"


def _in_words(change: Estimate | None, unit: str, less: str, more: str) -> str:
    if change is None:
        return "No word was right in both systems"
    return f"{abs(change.value):.3g} {unit} {less if change.value < 0 else more}"


def write_timeline(
    path: Path, utterance: Utterance, tracks: Mapping[str, Sequence[TimedWord]], *, with_sound: bool = True
) -> Path:
    """Writes a self-contained page that plays the sound and shows each system's words at the moment they come out.

    Without the sound only its outline goes into the page.
    """
    # Imported here: the measurement of CTM files needs neither.
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
    from scipy.io import wavfile

    sound = ""
    if with_sound:
        buffer = io.BytesIO()
        integers = np.clip(np.rint(utterance.recording.samples * 32767), -32768, 32767).astype(np.int16)
        wavfile.write(buffer, utterance.recording.rate, integers)
        sound = "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode()
    # The drawn waveform: the loudest amplitude of each of OUTLINE_POINTS equal pieces, scaled to at most 1.
    samples = np.abs(np.asarray(utterance.recording.samples, dtype=np.float64))
    pieces = np.array_split(samples, min(OUTLINE_POINTS, max(len(samples), 1)))
    peaks = np.array([piece.max() if len(piece) else 0.0 for piece in pieces])
    data = {
        "seconds": utterance.recording.seconds,
        "outline": [round(float(peak), 4) for peak in peaks / max(float(peaks.max()), 1e-9)],
        "truth": [[word.word, word.start, word.end] for word in utterance.words],
        "tracks": [
            {"name": name, "words": [[word.word, word.start] for word in words]} for name, words in tracks.items()
        ],
    }
    environment = Environment(
        loader=PackageLoader("seqtant.ctc", "templates"), autoescape=select_autoescape(), undefined=StrictUndefined
    )
    page = environment.get_template("timeline.html").render(
        title=f"When does each word come out? {utterance.id}",
        tracks=tracks,
        truth=utterance.words,
        # A word such as "</script>" must not end the script that holds it.
        data=json.dumps(data).replace("<", "\\u003c"),
        sound=sound,
    )
    write_text(path, page)
    return path
