"""Many methods from one checkpoint: what each run heard, kept run by run so that an interrupted sweep can go on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

from seqtant.ctc.config import SweepConfig
from seqtant.ctc.recognition.evaluation import load_timings, outcome, same_weights, save_timings
from seqtant.ctc.recognition.latency import Comparison, Timing, compare, summarize
from seqtant.ctc.recognition.recognizer import Recognizer
from seqtant.ctc.recognition.sources import Corpora, load_corpora
from seqtant.ctc.training.training import check_method, finetune, objective_of, train_plain
from seqtant.findings import Estimate
from seqtant.runs.context import Context
from seqtant.settings import plain
from seqtant.stats.intervals import mean

DRAWS = 500
"""Bootstrap samples per number of a sweep."""


@dataclass(frozen=True)
class Point:
    """One method at one weight.

    Args:
        method: Its name.
        weight: Its weight.
        timings: Of the test utterances, one list per seed.
    """

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


@dataclass(frozen=True)
class Numbers:
    """What is said of a point: means over seeds with their intervals.

    Args:
        wer: Word error rate, percent.
        delay: Mean delay after the word's start, ms; None where nothing was right.
        after_end: Mean delay after the word's end, ms.
        p90: 90th percentile of the delay after the start, ms.
        last: Last emission after the end of speech, ms.
        deletions: Share of reference words deleted, percent.
        change: Paired change against plain CTC; None for plain CTC itself.
    """

    wer: Estimate
    delay: Estimate | None
    after_end: Estimate | None
    p90: Estimate | None
    last: Estimate | None
    deletions: float
    change: Comparison | None


class Sweep:
    """Runs, or reads back, every point of a sweep.

    Args:
        config: What is swept.
        context: Seed, device, progress; with a folder, finished runs are kept there.
    """

    def __init__(self, config: SweepConfig, context: Context) -> None:
        self.config, self.context = config, context
        self.folder = context.folder / "runs" / _key(config) if context.folder is not None else None
        self._current: tuple[int, Corpora, Recognizer] | None = None

    def points(self) -> list[Point]:
        """All points, seed by seed."""
        plan = self.config.plan()
        for method, weight in plan:
            check_method(method, weight, self.config.purpose)
        found: dict[tuple[str, float], list[list[Timing]]] = {run: [] for run in plan}
        bar = self.context.progress.task("runs", len(plan) * self.config.seeds)
        for repetition in range(self.config.seeds):
            for run in plan:
                found[run].append(self._timings(self.context.seed + repetition, *run))
                bar.advance()
            self._current = None
        bar.close()
        return [Point(method, weight, found[method, weight]) for method, weight in plan]

    def zero_is_plain(self) -> bool:
        """Whether Align With Purpose at weight 0 gives the weights of plain CTC to the bit."""
        corpora, base = self._base(self.context.seed)
        first, second = (
            finetune(
                base,
                corpora,
                objective_of(method, 0.0, self.config.purpose, corpora),
                steps=self.config.zero_steps,
                optimization=self.config.optimization,
                context=self.context,
                seed=self.context.seed,
            ).recognizer
            for method in ("ctc", "awp")
        )
        return same_weights(first, second)

    def _timings(self, seed: int, method: str, weight: float) -> list[Timing]:
        path = self.folder / f"{seed}-{method}-{weight:g}.json" if self.folder else None
        if path is not None and path.is_file():
            return load_timings(path)
        corpora, base = self._base(seed)
        self.context.progress.note(f"seed {seed}: {method} {weight:g}")
        done = finetune(
            base,
            corpora,
            objective_of(method, weight, self.config.purpose, corpora),
            steps=self.config.steps,
            optimization=self.config.optimization,
            context=self.context,
            seed=seed,
        )
        timings = outcome(done.recognizer, corpora.test)
        if path is not None:
            save_timings(path, timings)
            done.recognizer.save(path.with_suffix(""))
        return timings

    def _base(self, seed: int) -> tuple[Corpora, Recognizer]:
        """Corpora and the common checkpoint of a seed, trained once."""
        if self._current is None or self._current[0] != seed:
            corpora = load_corpora(self.config, seed=seed, with_development=False)
            kept = self.folder / f"{seed}-base" if self.folder else None
            if kept is not None and (kept / "recognizer.json").is_file():
                recognizer = Recognizer.load(kept)
            else:
                recognizer = train_plain(self.config, corpora, context=self.context, seed=seed)
                if kept is not None:
                    recognizer.save(kept)
            self._current = (seed, corpora, recognizer)
        return self._current[1], self._current[2]


def numbers(point: Point, plain_ctc: Point, *, seed: int) -> Numbers:
    """Means over seeds; one seed has intervals over utterances, several have Student's over seeds."""
    summaries = [summarize(timings, seed=seed, draws=DRAWS) for timings in point.timings]
    totals = [summary.errors for summary in summaries]

    def pooled(name: str, unit: str) -> Estimate | None:
        each = [getattr(summary, name) for summary in summaries]
        if any(estimate is None for estimate in each):
            return None
        return each[0] if len(each) == 1 else mean([estimate.value for estimate in each], unit=unit)

    wer = pooled("wer", "%")
    assert wer is not None  # every reference holds words: summarize refuses others
    if wer.low is not None and wer.low < 0:
        # Student's interval over few seeds does not know that a rate is never below 0.
        wer = replace(wer, low=0.0)
    return Numbers(
        wer=wer,
        delay=pooled("after_start", "ms"),
        after_end=pooled("after_end", "ms"),
        p90=pooled("p90", "ms"),
        last=pooled("last", "ms"),
        deletions=100 * sum(total.deletions for total in totals) / sum(total.words for total in totals),
        change=None if point is plain_ctc else change_of(plain_ctc, point, seed=seed),
    )


def change_of(first: Point, second: Point, *, seed: int) -> Comparison:
    """Paired change from one point to another, seed by seed on the same utterances."""
    each = [compare(a, b, seed=seed, draws=DRAWS) for a, b in zip(first.timings, second.timings, strict=True)]
    if len(each) == 1:
        return each[0]
    delays = [change.delay.value for change in each if change.delay is not None]
    return Comparison(
        mean([change.wer.value for change in each], unit="points"),
        mean(delays, unit="ms") if len(delays) == len(each) else None,
        sum(change.words for change in each),
    )


def _key(config: SweepConfig) -> str:
    """Name of everything that runs share: the configuration without the list of runs."""
    shared = {
        name: value
        for name, value in plain(config).items()
        if name not in {"methods", "weights", "method_weights", "seeds", "zero_steps"}
    }
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:12]
