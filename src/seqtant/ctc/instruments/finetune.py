"""Finetunes a recognizer for a property: at a weight, or at the largest weight that a budget of word errors allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from seqtant.ctc.config import FinetuneConfig
from seqtant.ctc.losses.base import PlainCTC
from seqtant.ctc.losses.registry import MethodSettings, method_of
from seqtant.ctc.recognition.latency import Comparison, Timing, compare, summarize
from seqtant.ctc.recognition.recognizer import Recognizer, too_short_for_target
from seqtant.ctc.recognition.sources import Corpora, load_corpora
from seqtant.ctc.reporting import (
    record_comparison,
    record_summary,
    warn_too_short,
    warn_without_data,
    warn_without_timestamps,
)
from seqtant.ctc.training import (
    Finetuned,
    finetune_recognizer,
    load_recognizer,
    objective_of,
    train_recognizer,
    word_error_rate,
)
from seqtant.errors import InputError
from seqtant.findings import Assumption, Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb

STATS_EVERY = 10
"""Steps between the statistics that are kept."""

COURSE = (".gap", ".changed", ".active")
"""Endings of the statistics that change from step to step."""


@verb(FinetuneConfig)
def finetune(config: FinetuneConfig, context: Context) -> Result:
    """Finetunes a recognizer for a property and compares the two on held-out utterances.

    With ``budget_wer`` the largest weight is searched whose word errors stay, with the upper end of their interval,
    within the budget on development utterances. With ``out`` the recognizer is kept in its folder ``model``; in
    memory, :func:`seqtant.ctc.finetune_recognizer` gives it back. The one that is given stays as it is.

    Returns:
        ``delay_change_ms`` over the words both got right, ``wer_change`` in points, both systems' ``wer`` and
        ``mean_delay_ms``, the ``weight``; with a budget ``spent_points`` and ``bought_ms``; the course of the score
        gaps as measurements.

    Raises:
        InputError: The recognizer or the data cannot be used, or no method has that name.

    Example:
        >>> from seqtant import ctc
        >>> settings = {"utterances": {"train": 32, "development": 4, "test": 8}, "steps": 2, "start_steps": 0}
        >>> result = finetune(ctc.load_recognizer(), weight=0.1, optimization={"batch_size": 8}, **settings)
        >>> result.values["weight"], result.values["collapsed"]
        (0.1, 0)
    """
    with Recorder(
        "ctc.finetune", f"A recognizer with a purpose: {config.method}", config, context, papers=(2,)
    ) as record:
        # Fails on a wrong method or weight before anything is trained.
        purpose = MethodSettings(candidates=config.purpose.candidates, shifts=config.purpose.shifts)
        method_of(config.method)(config.weight, purpose)
        corpora, start = _start(config, context, record)
        before = start.timings(corpora.test)

        def attempt(weight: float) -> Finetuned:
            context.progress.note(f"{config.method} at weight {weight:g}")
            return finetune_recognizer(
                start,
                corpora,
                objective_of(config.method, weight, config.purpose, corpora, ramp=config.ramp),
                config.optimization,
                steps=config.steps,
                context=context,
                seed=context.seed,
                guard=config.guard,
                stats=partial(_keep, record, f"{config.method} {weight:g}"),
            )

        if config.budget_wer is None:
            done = attempt(config.weight)
            final, weight = done.recognizer, config.weight
            record.value("collapsed", int(bool(done.collapse)))
            if done.collapse:
                record.warn(f"Collapsed and went back to the last good weights: {done.collapse}; lower the weight.")
        else:
            final, weight = _search(config, corpora, start, attempt, record)
        after = final.timings(corpora.test)
        record_summary(record, summarize(after, seed=context.seed))
        change = compare(before, after, seed=context.seed)
        record_comparison(record, change, "the finetuned model")
        summary = summarize(before, seed=context.seed)
        record.value("weight", weight)
        record.value("wer_before", summary.wer.value)
        record.value("mean_delay_ms_before", None if summary.after_start is None else summary.after_start.value)
        if config.budget_wer is not None:
            _record_budget(record, change, config.budget_wer)
        if context.folder is not None:
            final.save(context.folder / "model")
            record.artifact(context.folder / "model" / "model.safetensors", "recognizer")
            record.artifact(context.folder / "model" / "recognizer.json", "recognizer")
    return record.result


def _start(config: FinetuneConfig, context: Context, record: Recorder) -> tuple[Corpora, Recognizer]:
    """Prepares the corpora and the recognizer to start from, trained with CTC until the start rule is met."""
    given = None if config.model is None else load_recognizer(config.model)
    corpora = load_corpora(
        config.data,
        config.utterances,
        units=config.units,
        bands=config.network.bands,
        seed=context.seed,
        test_speaker=config.test_speaker,
        like=given,
    )
    recognizer = given or train_recognizer(
        corpora, config.network, config.optimization, steps=config.base_steps, seed=context.seed, context=context
    )
    untimed = corpora.test.without_timestamps
    if config.budget_wer is not None and len(untimed) == len(corpora.test):
        raise InputError("budget_wer buys latency, and no test utterance has word times: give 'words' in the lists")
    warn_without_timestamps(record, untimed, len(corpora.test))
    warn_too_short(record, too_short_for_target(recognizer, corpora.train), len(corpora.train))
    if config.data is None:
        warn_without_data(record)
    # Until sampled paths mean something: each chunk has a schedule from start to end and an order of its own.
    steps, chunk = 0, min(100, max(config.start_steps, 1))
    wer = word_error_rate(recognizer, corpora.development)
    while wer > config.start_wer and steps + chunk <= config.start_steps:
        recognizer = finetune_recognizer(
            recognizer,
            corpora,
            PlainCTC(blank=corpora.labels.blank),
            config.optimization,
            steps=chunk,
            context=context,
            seed=context.seed + steps,
        ).recognizer
        steps += chunk
        wer = word_error_rate(recognizer, corpora.development)
    record.value("start_steps", steps)
    record.value("start_wer", wer)
    if wer > config.start_wer:
        record.warn(
            f"The development word error rate is still {wer:.1f} % after {steps} steps of CTC, above start_wer "
            f"({config.start_wer:g} %): sampled paths are mostly noise, train longer before giving a purpose."
        )
    return corpora, recognizer


def _keep(record: Recorder, group: str, step: int, stats: Mapping[str, float]) -> None:
    if step % STATS_EVERY == 0:
        for name in (name for name in stats if name.endswith(COURSE)):
            record.measure(name, stats[name], step=step, group=group)


@dataclass(frozen=True)
class Trial:
    """One weight that was tried: what it changed on development utterances, whether within the budget, its model."""

    weight: float
    change: Comparison
    within: bool
    recognizer: Recognizer


def max_weight_within_wer_budget(
    budget: float,
    before: list[Timing],
    attempt: Callable[[float], tuple[Recognizer, list[Timing], bool]],
    *,
    first_weight: float,
    most_runs: int,
) -> tuple[list[Trial], Trial | None]:
    """Finds the largest weight within a budget: doubling until it is overspent, then bisecting on a log scale.

    Latency and word errors both rise with the weight, so the search is one-dimensional. A weight is within the budget
    if the upper end of the 95 % interval of the paired word-error change is.

    Args:
        budget: Percentage points of word error rate.
        before: Timings of the model to start from, on development utterances.
        attempt: Trains from that model with a weight; gives the new model, its timings, and whether it collapsed.
        first_weight: Where to begin.
        most_runs: Weights to try.

    Returns:
        All weights tried, in order, and the one that gained the most latency within the budget; None if none did.
    """
    trials: list[Trial] = []
    # Invariant: good is the largest weight known to be within, bad the smallest known not to be.
    good, bad = 0.0, float("inf")
    weight = first_weight
    # 15 % between the two is close enough: a run costs more than the rest is worth.
    while len(trials) < most_runs and (bad == float("inf") or bad > 1.15 * good):
        recognizer, after, collapsed = attempt(weight)
        change = compare(before, after)
        upper = change.wer.value if change.wer.high is None else change.wer.high
        within = not collapsed and upper <= budget
        trials.append(Trial(weight, change, within, recognizer))
        if within:
            good = max(good, weight)
        else:
            bad = min(bad, weight)
        weight = 2 * good if bad == float("inf") else (good * bad) ** 0.5 if good else bad / 2
    gains = [(trial.change.delay.value, trial) for trial in trials if trial.within and trial.change.delay is not None]
    return trials, min(gains, key=lambda gain: gain[0])[1] if gains else None


def _search(
    config: FinetuneConfig, corpora: Corpora, start: Recognizer, attempt: Callable[[float], Finetuned], record: Recorder
) -> tuple[Recognizer, float]:
    """Searches on development utterances; the weight it finds is measured on others."""

    def try_weight(weight: float) -> tuple[Recognizer, list[Timing], bool]:
        done = attempt(weight)
        return done.recognizer, done.recognizer.timings(corpora.development), bool(done.collapse)

    trials, best = max_weight_within_wer_budget(
        float(config.budget_wer or 0),
        start.timings(corpora.development),
        try_weight,
        first_weight=config.weight,
        most_runs=config.budget_runs,
    )
    record.value("runs", len(trials))
    record.table(
        "trials",
        "Weights tried, measured on development utterances",
        ("weight", "WER change, points", "upper end", "delay change, ms", "within the budget"),
        [
            (
                round(trial.weight, 4),
                round(trial.change.wer.value, 2),
                None if trial.change.wer.high is None else round(trial.change.wer.high, 2),
                None if trial.change.delay is None else round(trial.change.delay.value, 1),
                trial.within,
            )
            for trial in trials
        ],
        note="A weight is within the budget if the upper end of the 95 % interval of its word-error change is.",
    )
    if best is None:
        record.warn("No weight tried stayed within the budget: the model is left as it was; raise the budget.")
        return start, 0.0
    return best.recognizer, best.weight


def _record_budget(record: Recorder, change: Comparison, budget: float) -> None:
    spent = change.wer
    inside = spent.value <= budget
    sure = spent.low is not None and spent.low > budget
    record.value("bought_ms", 0.0 if change.delay is None else -change.delay.value)
    record.value("spent_points", spent.value)
    record.finding(
        "budget",
        f"Does the model stay within {budget:g} points of word error rate on held-out utterances?",
        "agrees" if inside else "disagrees" if sure else "inconclusive",
        f"Spent {spent.value:.2f} points"
        + ("" if change.delay is None else f" and bought {-change.delay.value:.0f} ms of mean delay."),
        predicted=Estimate(value=budget, method="the budget: at most this", unit="points"),
        measured=spent,
        assumptions=(
            Assumption(
                statement="No held-out utterance took part in the search",
                status="holds",
                how="weights are chosen on development utterances made of other recordings",
            ),
        ),
    )
