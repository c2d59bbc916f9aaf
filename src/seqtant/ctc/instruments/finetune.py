"""Gives a recognizer a property it lacks: at a weight, or as much of it as a budget of word errors buys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from seqtant.ctc.config import FinetuneConfig
from seqtant.ctc.recognition.evaluation import cramped, outcome, untimed
from seqtant.ctc.recognition.latency import Timing, compare, summarize
from seqtant.ctc.recognition.recognizer import Recognizer
from seqtant.ctc.recognition.sources import Corpora, corpora_of, load_corpora, load_speech
from seqtant.ctc.reporting.report import record_comparison, record_summary, warn_cramped, warn_untimed
from seqtant.ctc.training.training import Finetuned, check_method, finetune, objective_of, reach_start, train_plain
from seqtant.ctc.training.weight_search import Purchase, spend
from seqtant.errors import InputError
from seqtant.findings import Assumption, Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

STATS_EVERY = 10
"""Steps between the statistics that are kept."""

COURSE = (".gap", ".changed", ".active")
"""Endings of the statistics that change from step to step."""


def run(config: FinetuneConfig, context: Context) -> Result:
    """Finetunes from a recognizer and compares it with that recognizer on held-out utterances."""
    with Recorder(
        "ctc.finetune", f"A recognizer with a purpose: {config.method}", config, context, papers=(2,)
    ) as record:
        check_method(config.method, config.weight, config.purpose)
        corpora, start = _start(config, context, record)
        before = outcome(start, corpora.test)
        if config.budget_wer is None:
            done = _attempt(config, context, corpora, start, weight=config.weight, record=record)
            final, weight = done.recognizer, config.weight
            record.value("collapsed", int(bool(done.collapse)))
            if done.collapse:
                record.warn(f"Collapsed and went back to the last good weights: {done.collapse}; lower the weight.")
        else:
            final, weight = _within_budget(config, context, corpora, start, record)
        after = outcome(final, corpora.test)
        record_summary(record, summarize(after, seed=context.seed))
        record_comparison(record, compare(before, after, seed=context.seed), "the finetuned model")
        _record_before(record, before, weight, context.seed)
        if config.budget_wer is not None:
            _record_budget(record, before, after, config.budget_wer, context.seed)
        if context.folder is not None:
            final.save(context.folder / "model")
            record.artifact(context.folder / "model" / "model.safetensors", "recognizer")
            record.artifact(context.folder / "model" / "recognizer.json", "recognizer")
    return record.result


def _start(config: FinetuneConfig, context: Context, record: Recorder) -> tuple[Corpora, Recognizer]:
    """Corpora and the recognizer to start from, trained with CTC until the start rule is met."""
    if config.model is None:
        corpora = load_corpora(config, seed=context.seed)
        recognizer = train_plain(config, corpora, context=context, seed=context.seed, to_zero=True)
    else:
        recognizer = Recognizer.load(Path(config.model))
        speech = load_speech(config.data, config.utterances, seed=context.seed, test_speaker=config.test_speaker)
        corpora = corpora_of(speech, recognizer.labels, recognizer.log_mel)
    late = untimed(corpora.test)
    if config.budget_wer is not None and len(late) == len(corpora.test):
        raise InputError("budget_wer buys latency, and no test utterance has word times: give 'words' in the lists")
    warn_untimed(record, late, len(corpora.test))
    warn_cramped(record, cramped(recognizer, corpora.train), len(corpora.train))
    if config.data is None:
        record.warn("No data was given: tones stand in for speech, and nothing here says anything of speech.")
    recognizer, steps, wer = reach_start(
        recognizer,
        corpora,
        start_wer=config.start_wer,
        most_steps=config.start_steps,
        optimization=config.optimization,
        context=context,
        seed=context.seed,
    )
    record.value("start_steps", steps)
    record.value("start_wer", wer)
    if wer > config.start_wer:
        record.warn(
            f"The development word error rate is still {wer:.1f} % after {steps} steps of CTC, above start_wer "
            f"({config.start_wer:g} %): sampled paths are mostly noise, train longer before giving a purpose."
        )
    return corpora, recognizer


def _attempt(
    config: FinetuneConfig, context: Context, corpora: Corpora, start: Recognizer, *, weight: float, record: Recorder
) -> Finetuned:
    def keep(step: int, stats: Mapping[str, float]) -> None:
        if step % STATS_EVERY == 0:
            for name in (name for name in stats if name.endswith(COURSE)):
                record.measure(name, stats[name], step=step, group=f"{config.method} {weight:g}")

    context.progress.note(f"{config.method} at weight {weight:g}")
    return finetune(
        start,
        corpora,
        objective_of(config.method, weight, config.purpose, corpora, ramp=config.ramp),
        steps=config.steps,
        optimization=config.optimization,
        context=context,
        seed=context.seed,
        guard=config.guard,
        stats=keep,
    )


def _within_budget(
    config: FinetuneConfig, context: Context, corpora: Corpora, start: Recognizer, record: Recorder
) -> tuple[Recognizer, float]:
    """Searches on development utterances; what it finds is measured on others."""

    def attempt(weight: float) -> tuple[Recognizer, list[Timing], bool]:
        done = _attempt(config, context, corpora, start, weight=weight, record=record)
        return done.recognizer, outcome(done.recognizer, corpora.development), bool(done.collapse)

    purchase = spend(
        float(config.budget_wer or 0),
        outcome(start, corpora.development),
        attempt,
        first_weight=config.weight,
        most_runs=config.budget_runs,
    )
    _record_trials(record, purchase)
    if purchase.best is None:
        record.warn("No weight tried stayed within the budget: the model is left as it was; raise the budget.")
        return start, 0.0
    return purchase.best.recognizer, purchase.best.weight


def _record_trials(record: Recorder, purchase: Purchase) -> None:
    record.value("runs", len(purchase.trials))
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
            for trial in purchase.trials
        ],
        note="A weight is within the budget if the upper end of the 95 % interval of its word-error change is.",
    )


def _record_before(record: Recorder, before: list[Timing], weight: float, seed: int) -> None:
    summary = summarize(before, seed=seed)
    record.value("weight", weight)
    record.value("wer_before", summary.wer.value)
    record.value("mean_delay_ms_before", None if summary.after_start is None else summary.after_start.value)


def _record_budget(record: Recorder, before: list[Timing], after: list[Timing], budget: float, seed: int) -> None:
    change = compare(before, after, seed=seed)
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
