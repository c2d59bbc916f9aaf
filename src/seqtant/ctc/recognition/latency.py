"""Latency and word errors with intervals: delays against true word times, and paired comparisons of two systems.

Nothing here imports torch: latency can be measured from CTM files of any recognizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqtant.ctc.decoding.word_errors import WordErrors, aligned_pairs, word_errors
from seqtant.data.speech import TimedWord
from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.stats.intervals import percentile

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Transcript:
    """What a system recognized in one utterance, and the reference; ``start`` of a recognized word is its emission.

    Where the true times are not known (``is_timed``) there are word errors and no delays.
    """

    id: str
    hypothesis: tuple[TimedWord, ...]
    reference: tuple[TimedWord, ...]
    is_timed: bool = True


@dataclass(frozen=True)
class WordDelay:
    """One correctly recognized word, by its place in the reference: emission minus true start and true end, ms."""

    utterance: str
    place: int
    word: str
    after_start: float
    after_end: float


@dataclass(frozen=True)
class Timing:
    """Word errors of one utterance, and the delays of its correct words.

    ``first`` is the first emission minus the start of speech, ``last`` the last one minus the end of speech (drain
    latency), in ms; None if nothing was emitted.
    """

    id: str
    errors: WordErrors
    delays: tuple[WordDelay, ...]
    first: float | None
    last: float | None


def measure_timing(transcript: Transcript) -> Timing:
    """Aligns the words of an utterance with the reference and measures the delay of those that are right.

    Example:
        >>> true = (TimedWord("one", 0.5, 0.9),)
        >>> result = measure_timing(Transcript("a", (TimedWord("one", 0.75, 0.8),), true))
        >>> round(result.delays[0].after_start), round(result.delays[0].after_end)
        (250, -150)
    """
    recognized, true = [word.word for word in transcript.hypothesis], [word.word for word in transcript.reference]
    if not transcript.is_timed:
        return Timing(transcript.id, word_errors(recognized, true), (), None, None)
    delays = tuple(
        WordDelay(
            transcript.id,
            r,
            true[r],
            1000 * (transcript.hypothesis[h].start - transcript.reference[r].start),
            1000 * (transcript.hypothesis[h].start - transcript.reference[r].end),
        )
        for h, r in aligned_pairs(recognized, true)
        if h is not None and r is not None and recognized[h] == true[r]
    )
    # Right or wrong, what is emitted first and last counts: a listener sees it.
    first = last = None
    if transcript.hypothesis and transcript.reference:
        first = 1000 * (transcript.hypothesis[0].start - transcript.reference[0].start)
        last = 1000 * (transcript.hypothesis[-1].start - max(word.end for word in transcript.reference))
    return Timing(transcript.id, word_errors(recognized, true), delays, first, last)


@dataclass(frozen=True)
class LatencySummary:
    """Word errors and delays of one system; delays are None where no word was right.

    Args:
        wer: Word error rate, percent.
        errors: Counts behind it.
        after_start: Mean delay after the word's start, ms.
        after_end: Mean delay after the word's end, ms.
        median: Median delay after the start, ms.
        p90: 90th percentile of the delay after the start, ms.
        first: Mean time from the start of speech to the first emission, ms.
        last: Mean time from the end of speech to the last emission, ms.
    """

    wer: Estimate
    errors: WordErrors
    after_start: Estimate | None
    after_end: Estimate | None
    median: Estimate | None
    p90: Estimate | None
    first: Estimate | None
    last: Estimate | None
    delays: tuple[WordDelay, ...] = field(default=(), repr=False)


def summarize(timings: Sequence[Timing], *, seed: int = 0, draws: int = 1000) -> LatencySummary:
    """Computes word error rate and delays with 95 % intervals, resampling whole utterances."""
    # One generator for all numbers: the order of the lines below is part of the result.
    rng = np.random.default_rng(seed)
    counts = np.array([[timing.errors.total, timing.errors.words] for timing in timings], dtype=np.float64)
    if not len(counts) or counts[:, 1].sum() == 0:
        raise InputError("the references hold no word: a word error rate needs at least one")
    drawn = counts[rng.integers(len(counts), size=(draws, len(counts)))].sum(1)  # [draws, (errors, words)]
    # A ratio of sums, not a mean of rates: long utterances weigh more, and none may be empty.
    rates = 100 * drawn[:, 0] / np.maximum(drawn[:, 1], 1)
    value = 100 * counts[:, 0].sum() / counts[:, 1].sum()
    wer = _interval(value, rates, n=int(counts[:, 1].sum()), clusters=len(counts), unit="%")
    starts = [[delay.after_start for delay in timing.delays] for timing in timings]
    ends = [[delay.after_end for delay in timing.delays] for timing in timings]
    firsts = [[timing.first] if timing.first is not None else [] for timing in timings]
    lasts = [[timing.last] if timing.last is not None else [] for timing in timings]
    return LatencySummary(
        wer=wer,
        errors=sum((timing.errors for timing in timings), WordErrors(0, 0, 0, 0)),
        after_start=_bootstrap(starts, np.mean, rng, draws=draws),
        after_end=_bootstrap(ends, np.mean, rng, draws=draws),
        median=_bootstrap(starts, np.median, rng, draws=draws),
        p90=_bootstrap(starts, lambda values: np.quantile(values, 0.9), rng, draws=draws),
        first=_bootstrap(firsts, np.mean, rng, draws=draws),
        last=_bootstrap(lasts, np.mean, rng, draws=draws),
        delays=tuple(delay for timing in timings for delay in timing.delays),
    )


@dataclass(frozen=True)
class Comparison:
    """The change from a first to a second system on the same utterances, second minus first.

    Args:
        wer: Difference of the word error rates, percentage points.
        delay: Difference of the mean delays over the words that both got right, ms: free of the bias that a system
            with more errors is measured on easier words.
        words: Number of those words.
    """

    wer: Estimate
    delay: Estimate | None
    words: int


def compare(first: Sequence[Timing], second: Sequence[Timing], *, seed: int = 0, draws: int = 1000) -> Comparison:
    """Compares two systems pair by pair, resampling utterances."""
    if [timing.id for timing in first] != [timing.id for timing in second]:
        raise InputError("the two systems heard different utterances: compare them on the same ones")
    # Both systems are resampled together: what they share, such as hard utterances, cancels in the difference.
    rng = np.random.default_rng(seed)
    words = np.array([timing.errors.words for timing in first], dtype=np.float64)
    more = np.array([b.errors.total - a.errors.total for a, b in zip(first, second, strict=True)], dtype=np.float64)
    drawn = rng.integers(len(words), size=(draws, len(words)))
    rates = 100 * more[drawn].sum(1) / np.maximum(words[drawn].sum(1), 1)
    wer = _interval(100 * more.sum() / words.sum(), rates, n=int(words.sum()), clusters=len(words), unit="points")
    # Delays of the words that both got right, second minus first.
    differences: list[list[float]] = []
    for a, b in zip(first, second, strict=True):
        known = {delay.place: delay.after_start for delay in a.delays}
        differences.append([d.after_start - known[d.place] for d in b.delays if d.place in known])
    return Comparison(wer, _bootstrap(differences, np.mean, rng, draws=draws), sum(map(len, differences)))


def discordant(first: Sequence[Timing], second: Sequence[Timing]) -> int:
    """Counts the reference words that exactly one of two systems got right; needs the words' true times.

    Example:
        >>> late = WordDelay("a", 0, "one", 100.0, -50.0)
        >>> right, wrong = (Timing("a", WordErrors(0, 0, 0, 1), delays, None, None) for delays in ((late,), ()))
        >>> discordant([right], [wrong]), discordant([right], [right])
        (1, 0)
    """
    return sum(
        len({delay.place for delay in a.delays} ^ {delay.place for delay in b.delays})
        for a, b in zip(first, second, strict=True)
    )


def _bootstrap(
    rows: Sequence[Sequence[float]],
    statistic: Callable[[Floats], np.floating[Any]],
    rng: np.random.Generator,
    *,
    draws: int,
) -> Estimate | None:
    """Estimates a statistic of all delays, ms, with its interval over utterances (rows); None where there is none."""
    values = np.array([value for row in rows for value in row], dtype=np.float64)
    owners = np.repeat(np.arange(len(rows)), [len(row) for row in rows])  # utterance of each value
    if not len(values):
        return None
    samples: list[float] = []
    for _ in range(draws):
        # Whole utterances are drawn with replacement: words of one utterance share its speaker and its delay.
        times = np.bincount(rng.integers(len(rows), size=len(rows)), minlength=len(rows))
        # An utterance drawn n times gives each of its values n times; the order does not matter to the statistics.
        drawn = np.repeat(values, times[owners])
        if len(drawn):
            samples.append(float(statistic(drawn)))
    return _interval(float(statistic(values)), samples, n=len(values), clusters=len(rows), unit="ms")


def _interval(value: float, samples: Sequence[float] | Floats, *, n: int, clusters: int, unit: str) -> Estimate:
    if clusters < 2 or not len(samples):
        return Estimate(value=float(value), method="one utterance", n=n, clusters=clusters, unit=unit)
    return percentile(float(value), samples, method="cluster bootstrap", n=n, clusters=clusters, unit=unit)
