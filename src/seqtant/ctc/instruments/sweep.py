"""Compares methods from one checkpoint: how much earlier each makes the words, and how many word errors that costs.

Finished runs are kept one by one, so that an interrupted sweep goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from itertools import pairwise

from pydantic import TypeAdapter, ValidationError

from seqtant.ctc.config import SweepConfig
from seqtant.ctc.decoding.word_errors import WordErrors
from seqtant.ctc.losses.registry import FEWER_ERRORS, MethodSettings, method_of
from seqtant.ctc.recognition.latency import Comparison, LatencySummary, Timing, compare, discordant, summarize
from seqtant.ctc.recognition.recognizer import Recognizer, same_weights
from seqtant.ctc.recognition.sources import Corpora, load_corpora
from seqtant.ctc.reporting import interval_cells, verdict_of_decrease, warn_without_data
from seqtant.ctc.theory import words_to_resolve
from seqtant.ctc.training import finetune_recognizer, objective_of, train_recognizer
from seqtant.errors import InputError
from seqtant.findings import Assumption, Cell, Estimate, Result
from seqtant.runs.files import write_text
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.settings import plain
from seqtant.stats.intervals import mean

RELATIVE = 0.04
"""Relative change of the word error rate that a comparison of error counts should be able to see."""

DRAWS = 500
"""Bootstrap samples per number of a sweep."""

_TIMINGS = TypeAdapter(list[Timing])


@verb(SweepConfig)
def sweep(config: SweepConfig, context: Context) -> Result:
    """Trains one checkpoint and every method from it; compares latency and word errors on the same utterances.

    All methods see the same batches, so that differences are the methods' own. With ``out`` finished runs are kept one
    by one, and an interrupted sweep goes on.

    Returns:
        ``wer_METHOD_WEIGHT`` in percent and ``delay_ms_METHOD_WEIGHT`` for every point, ``zero_is_ctc``; the tables
        ``frontier`` and ``tails``.

    Raises:
        InputError: The data cannot be used, no method has that name, or a kept run is damaged.

    Example:
        >>> tiny = {"network": {"channels": 8, "dilations": (1,), "bands": 8}, "optimization": {"batch_size": 8}}
        >>> few = {"train": 16, "development": 2, "test": 4}
        >>> result = sweep(utterances=few, methods="awp", weights=(0.2,), base_steps=2, steps=2, zero_steps=2, **tiny)
        >>> [row[:2] for row in result.tables[0].rows], result.values["zero_is_ctc"]
        ([('ctc', 0.0), ('awp', 0.2)], 1)
    """
    with Recorder("ctc.sweep", "Latency bought, word errors paid", config, context, papers=(2,)) as record:
        if config.data is None:
            warn_without_data(record)
        runs = Sweep(config, context)
        points = runs.points()
        measured = [summarize_point(point, seed=context.seed) for point in points]
        changes = [None, *(change_of(points[0], point, seed=context.seed) for point in points[1:])]
        if measured[0].after_start is None:
            record.warn("No delay could be measured: the utterances have no word times, or nothing was recognized.")
        for point, found, change in zip(points, measured, changes, strict=True):
            _record_point(record, point, found, change)
        for point, change in zip(points, changes, strict=True):
            if point.method in FEWER_ERRORS and change is not None:
                _record_errors(record, points[0], point, change)
        _record_tables(record, points, measured, changes)
        # More weight must mean earlier words: each step between neighbors in weight, from plain CTC on, is a decrease.
        rising = sorted((point for point in points if point.method == "awp"), key=lambda point: point.weight)
        chain = [points[0], *(point for point in rising if point.weight > 0)]
        if len(chain) >= 3:
            steps = [change_of(a, b, seed=context.seed).delay for a, b in pairwise(chain)]
            verdicts = {verdict_of_decrease(step) for step in steps}
            order = " > ".join(f"{point.weight:g}" for point in reversed(chain[1:]))
            record.finding(
                "monotone",
                "Is more weight always earlier?",
                "agrees" if verdicts == {"agrees"} else "disagrees" if "disagrees" in verdicts else "inconclusive",
                f"{order} > plain CTC; measured: the smallest step between two neighbors.",
                measured=max((step for step in steps if step is not None), key=lambda step: step.value, default=None),
            )
        if config.zero_steps:
            # Align With Purpose at weight 0 must give the weights of plain CTC to the bit.
            ends = [runs.finetune(context.seed, name, 0.0, steps=config.zero_steps)[0] for name in ("ctc", "awp")]
            same = same_weights(*ends)
            weights = "the same to the bit" if same else "NOT the same"
            record.value("zero_is_ctc", int(same))
            record.finding(
                "zero",
                "Is weight 0 plain CTC?",
                "agrees" if same else "disagrees",
                f"After {config.zero_steps} steps every weight of the network is {weights}.",
                predicted=Estimate.exact(1, method="by definition of the loss"),
                measured=Estimate.exact(int(same), method="bitwise comparison of all weights"),
            )
    return record.result


@dataclass(frozen=True)
class Point:
    """One method at one weight, with the timings of the test utterances, one list per seed."""

    method: str
    weight: float
    timings: list[list[Timing]]

    @property
    def name(self) -> str:
        """Snake-case name, e.g. ``awp_0.2``; plain CTC has no weight.

        Example:
            >>> Point("delay-penalty", 0.1, []).name, Point("ctc", 0.0, []).name
            ('delay_penalty_0.1', 'ctc')
        """
        method = self.method.replace("-", "_")
        return method if self.method == "ctc" else f"{method}_{self.weight:g}"


class Sweep:
    """Runs every point of a sweep, or reads back what an earlier run left in the folder of the context."""

    def __init__(self, config: SweepConfig, context: Context) -> None:
        self.config, self.context = config, context
        # Runs are shared by all sweeps that differ in nothing but the list of runs.
        listed = {"methods", "weights", "method_weights", "seeds", "zero_steps"}
        shared = {name: value for name, value in plain(config).items() if name not in listed}
        key = hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:12]
        self.folder = context.folder / "runs" / key if context.folder is not None else None
        self._current: tuple[int, Corpora, Recognizer] | None = None

    def points(self) -> list[Point]:
        """Measures all points, seed by seed."""
        plan = self.config.plan()
        settings = MethodSettings(candidates=self.config.purpose.candidates, shifts=self.config.purpose.shifts)
        for method, weight in plan:
            method_of(method)(weight, settings)  # fails on a wrong method or weight before anything is trained
        found: dict[tuple[str, float], list[list[Timing]]] = {run: [] for run in plan}
        bar = self.context.progress.task("runs", len(plan) * self.config.seeds)
        for repetition in range(self.config.seeds):
            for run in plan:
                found[run].append(self.timings(self.context.seed + repetition, *run))
                bar.advance()
            self._current = None
        bar.close()
        return [Point(method, weight, found[method, weight]) for method, weight in plan]

    def timings(self, seed: int, method: str, weight: float) -> list[Timing]:
        """Trains and measures one run, or reads back what it left."""
        path = self.folder / f"{seed}-{method}-{weight:g}.json" if self.folder else None
        if path is not None and path.is_file():
            try:
                return _TIMINGS.validate_json(path.read_bytes())
            except ValidationError as error:
                raise InputError(f"'{path}' is damaged: delete it to run that part again") from error
        self.context.progress.note(f"seed {seed}: {method} {weight:g}")
        recognizer, corpora = self.finetune(seed, method, weight, steps=self.config.steps)
        timings = recognizer.timings(corpora.test)
        if path is not None:
            write_text(path, _TIMINGS.dump_json(timings).decode())
            recognizer.save(path.with_suffix(""))
        return timings

    def finetune(self, seed: int, method: str, weight: float, *, steps: int) -> tuple[Recognizer, Corpora]:
        """Finetunes from the common checkpoint of a seed: all methods see the same batches."""
        config = self.config
        if self._current is None or self._current[0] != seed:
            corpora = load_corpora(
                config.data,
                config.utterances,
                units=config.units,
                bands=config.network.bands,
                seed=seed,
                test_speaker=config.test_speaker,
                with_development=False,
            )
            kept = self.folder / f"{seed}-base" if self.folder else None
            if kept is not None and (kept / "recognizer.json").is_file():
                base = Recognizer.load(kept)
            else:
                base = train_recognizer(
                    corpora,
                    config.network,
                    config.optimization,
                    steps=config.base_steps,
                    seed=seed,
                    context=self.context,
                    to_zero=False,
                )
                if kept is not None:
                    base.save(kept)
            # One seed at a time: features of all utterances are large.
            self._current = (seed, corpora, base)
        _, corpora, base = self._current
        done = finetune_recognizer(
            base,
            corpora,
            objective_of(method, weight, config.purpose, corpora),
            config.optimization,
            steps=steps,
            context=self.context,
            seed=seed,
        )
        return done.recognizer, corpora


def summarize_point(point: Point, *, seed: int) -> LatencySummary:
    """Averages over seeds; one seed has intervals over utterances, several have Student's over seeds."""
    summaries = [summarize(timings, seed=seed, draws=DRAWS) for timings in point.timings]
    if len(summaries) == 1:
        return summaries[0]
    means: dict[str, Estimate | None] = {}
    for name in ("after_start", "after_end", "p90", "last"):
        each = [getattr(summary, name) for summary in summaries]
        means[name] = None if None in each else mean([estimate.value for estimate in each], unit="ms")
    wer = mean([summary.wer.value for summary in summaries], unit="%")
    if wer.low is not None and wer.low < 0:
        # Student's interval over few seeds does not know that a rate is never below 0.
        wer = replace(wer, low=0.0)
    errors = sum((summary.errors for summary in summaries), WordErrors(0, 0, 0, 0))
    return LatencySummary(wer, errors, median=None, first=None, delays=(), **means)


def change_of(first: Point, second: Point, *, seed: int) -> Comparison:
    """Compares two points pair by pair, seed by seed on the same utterances."""
    each = [compare(a, b, seed=seed, draws=DRAWS) for a, b in zip(first.timings, second.timings, strict=True)]
    if len(each) == 1:
        return each[0]
    delays = [change.delay.value for change in each if change.delay is not None]
    return Comparison(
        mean([change.wer.value for change in each], unit="points"),
        mean(delays, unit="ms") if len(delays) == len(each) else None,
        sum(change.words for change in each),
    )


def _record_point(record: Recorder, point: Point, found: LatencySummary, change: Comparison | None) -> None:
    record.value(f"wer_{point.name}", found.wer.value)
    record.value(f"delay_ms_{point.name}", None if found.after_start is None else found.after_start.value)
    for seed, timings in enumerate(point.timings):
        words = sum(timing.errors.words for timing in timings)
        errors = sum(timing.errors.total for timing in timings)
        late = [delay.after_start for timing in timings for delay in timing.delays]
        record.measure("wer", 100 * errors / words, unit="%", seed=seed, group=point.name)
        if late:
            record.measure("delay", sum(late) / len(late), unit="ms", seed=seed, group=point.name)
    if change is None:
        return
    delay, wer = change.delay, change.wer
    record.finding(
        f"earlier_{point.name}",
        f"Does {point.method} at {point.weight:g} emit the same words earlier than plain CTC?",
        verdict_of_decrease(delay),
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
    """Records whether a method for fewer errors makes fewer, and how many words it takes to see a small change."""
    before, after = (
        sum((timing.errors for timings in each.timings for timing in timings), WordErrors(0, 0, 0, 0))
        for each in (plain_ctc, point)
    )
    differing = sum(discordant(a, b) for a, b in zip(plain_ctc.timings, point.timings, strict=True))
    needed = None
    if 0 < before.total < before.words:
        discordance = differing / before.total if differing else 1.0
        needed = words_to_resolve(RELATIVE, before.total / before.words, discordant=discordance)
    record.value("words_measured", before.words)
    record.value(f"words_needed_{point.name}", needed)
    record.finding(
        f"errors_{point.name}",
        f"Does {point.method} at {point.weight:g} make fewer word errors than plain CTC?",
        verdict_of_decrease(change.wer),
        f"Substitutions {before.substitutions} to {after.substitutions}, insertions {before.insertions} to "
        f"{after.insertions}, deletions {before.deletions} to {after.deletions} on {before.words} words."
        + ("" if needed is None else f" To see {100 * RELATIVE:g} % relative takes about {needed} words."),
        measured=change.wer,
        advice="" if needed is None or needed <= before.words else "Measure on more words before choosing by this.",
    )


def _record_tables(
    record: Recorder, points: list[Point], measured: list[LatencySummary], changes: list[Comparison | None]
) -> None:
    frontier: list[tuple[Cell, ...]] = []
    tails: list[tuple[Cell, ...]] = []
    for point, found, change in zip(points, measured, changes, strict=True):
        delay, wer = (None, None) if change is None else (change.delay, change.wer)
        intervals = (*interval_cells(found.wer), *interval_cells(found.after_start))
        frontier.append((point.method, point.weight, *intervals, interval_cells(delay)[0], interval_cells(wer)[0]))
        deletions = round(100 * found.errors.deletions / found.errors.words, 2)
        late = (interval_cells(each)[0] for each in (found.p90, found.after_end, found.last))
        tails.append((point.method, point.weight, deletions, *late))
    ends = ("WER, %", "WER low", "WER high", "delay, ms", "delay low", "delay high")
    record.table(
        "frontier",
        "Latency against word errors",
        ("method", "weight", *ends, "same words, ms", "WER change, points"),
        frontier,
        note="Delays are after the word's start, of correct words; 'same words' is the change on words that plain CTC "
        "got right too. 95 %: over utterances with one seed, Student's t over seeds with several.",
    )
    record.table(
        "tails",
        "What is lost, and what is latest",
        ("method", "weight", "deletions, %", "p90, ms", "after end, ms", "last token, ms"),
        tails,
        note="p90: of the delay after the word's start; after end: mean delay after its end; last token: after the "
        "end of speech.",
    )
