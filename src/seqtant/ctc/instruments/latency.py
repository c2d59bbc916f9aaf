"""Measures the delays and word errors of any recognizer from CTM files, alone or against a second one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seqtant.ctc.config import LatencyConfig
from seqtant.ctc.inputs import WordsSource, timed_words
from seqtant.ctc.recognition.latency import Timing, Transcript, compare, measure_timing, summarize
from seqtant.ctc.reporting import record_comparison, record_summary
from seqtant.data.digits import WORDS
from seqtant.data.speech import TimedWord, read_ctm
from seqtant.errors import InputError
from seqtant.findings import Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import is_path

KNOWN_DELAY_MS = 180.0
"""Delay of the made-up system that stands in where no files are given."""

WORDS_SHOWN = 40
"""Rows of the table of words."""

Words = dict[str, list[TimedWord]]


@verb(LatencyConfig)
def latency(config: LatencyConfig, context: Context) -> Result:
    """Measures delays and word errors of any recognizer from its words and the true ones, alone or against a second.

    The delay of a word is the time it was emitted minus its true start, over the words that are right; two systems are
    compared on the words that both got right.

    Returns:
        ``wer`` in percent, delays in ms (``mean_delay_ms``, ``p50_ms``, ``p90_ms``, ``last_token_ms``); with a second
        system ``delay_change_ms`` and ``wer_change``.

    Raises:
        InputError: A file cannot be read, or the systems name recordings that have no true words.
        MissingExtraError: The extra ``speech`` is not installed.

    Example:
        >>> true = {"call": [("one", 0.5, 0.9), ("two", 1.1, 1.4)]}
        >>> heard = {"call": [("one", 0.75, 0.8), ("two", 1.35, 1.4)]}
        >>> round(latency(heard, true).values["mean_delay_ms"])
        250
    """
    with Recorder("ctc.latency", "How late are the words?", config, context, papers=(2,)) as record:
        if config.hyp is None or config.ref is None:
            # Twenty recordings of five words, and a system that is late by a known mean and errs now and then.
            rng = np.random.default_rng([context.seed, 7])
            hypothesis, reference = Words(), Words()
            for number in range(20):
                starts = 0.3 + 0.6 * np.arange(5)
                spoken = rng.integers(10, size=5)
                # Words are late by a normal delay of known mean, one in twenty is wrong.
                late = KNOWN_DELAY_MS / 1000 + rng.normal(0, 0.03, size=5)
                recognized = np.where(rng.random(5) < 0.05, (spoken + 1) % 10, spoken)
                name = f"made-up-{number:02d}"
                reference[name] = [TimedWord(WORDS[w], t, t + 0.4) for w, t in zip(spoken, starts, strict=True)]
                hypothesis[name] = [
                    TimedWord(WORDS[w], t, t + 0.03) for w, t in zip(recognized, starts + late, strict=True)
                ]
        else:
            hypothesis, reference = _read(config.hyp), _read(config.ref)
        timings = _timings(hypothesis, reference, "hyp")
        silent = [name for name in reference if name not in hypothesis]
        if silent:
            record.warn(
                f"{len(silent)} of {len(reference)} recordings have no hypothesis, '{silent[0]}' first: all deletions"
            )
        summary = summarize(timings, seed=context.seed, draws=config.draws)
        record_summary(record, summary)
        if config.hyp is None:
            measured = summary.after_start
            held = measured is not None and (measured.low or 0) <= KNOWN_DELAY_MS <= (measured.high or 0)
            record.finding(
                "calibration",
                "Does the measurement find a delay that is known?",
                "agrees" if held else "disagrees",
                "No files were given: this is a made-up system whose words are late by a known mean.",
                predicted=Estimate.exact(KNOWN_DELAY_MS, "ms"),
                measured=measured,
                advice="Give --hyp and --ref to measure a system of your own.",
            )
        if config.against is not None:
            others = _timings(_read(config.against), reference, "against")
            record_comparison(
                record, compare(timings, others, seed=context.seed, draws=config.draws), "the second system"
            )
        for delay in summary.delays:
            record.measure("delay", delay.after_start, unit="ms", group=delay.word)
        late = sorted(summary.delays, key=lambda delay: -delay.after_start)[:WORDS_SHOWN]
        if late:
            record.table(
                "words",
                f"The {len(late)} latest words",
                ("recording", "word", "after start, ms", "after end, ms"),
                [(d.utterance, d.word, round(d.after_start, 1), round(d.after_end, 1)) for d in late],
            )
    return record.result


def _read(source: WordsSource) -> Words:
    return (
        read_ctm(Path(source))
        if is_path(source)
        else {name: timed_words(words, name) for name, words in source.items()}
    )


def _timings(hypothesis: Words, reference: Words, name: str) -> list[Timing]:
    unknown = [recording for recording in hypothesis if recording not in reference]
    if unknown:
        raise InputError(f"{name}: recording '{unknown[0]}' is not in ref: both files must name recordings alike")
    return [
        measure_timing(Transcript(key, tuple(hypothesis.get(key, ())), tuple(words)))
        for key, words in reference.items()
    ]
