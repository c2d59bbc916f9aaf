"""The exact Bayes predictor on prompts of GINC: what in-context learning can reach, and what wrong labels do to it."""

from __future__ import annotations

import numpy as np

from seqtant.findings import Assumption, Estimate, Result
from seqtant.icl.config import GincBayesConfig
from seqtant.icl.ginc.answers import log_odds_slope, record_accuracy, right_answers, true_posterior
from seqtant.icl.ginc.bayes import WHOLE, bayes_model, cross_entropy, read_shots
from seqtant.icl.ginc.opening import open_ginc
from seqtant.icl.ginc.parameters import Ginc
from seqtant.icl.ginc.sampling import draw_documents, draw_prompts
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import mean


def run(config: GincBayesConfig, context: Context) -> Result:
    """Reads prompts and documents with the posterior mixture of the concepts.

    Raises:
        InputError: A number does not fit.
    """
    title = f"Exact Bayes on GINC-{config.vocabulary}, {config.example_length} symbols per example"
    with Recorder("icl.ginc-bayes", title, config, context, papers=(4,)) as record:
        ginc = open_ginc(config)
        generator = np.random.default_rng([context.seed, config.example_length])
        _documents(record, config, context, ginc, generator)
        prompts = draw_prompts(
            ginc,
            config.prompts,
            max(config.shots),
            config.example_length,
            generator,
            labels=config.labels,
            outside=config.outside,
        )
        read = read_shots(bayes_model(ginc, smoothing=config.smoothing), prompts, progress=context.progress)
        rates = record_accuracy(record, right_answers(read.log_probs, prompts), config.shots, config.labels)
        known = true_posterior(read, prompts)
        slope = log_odds_slope(read, prompts, most=min(8, max(config.shots)))
        _report(record, config, rates, known, slope)
    return record.result


def _documents(
    record: Recorder, config: GincBayesConfig, context: Context, ginc: Ginc, generator: np.random.Generator
) -> None:
    documents = draw_documents(ginc, config.documents, config.document_length, generator)
    # Documents are what the concepts write: the filter needs no smoothing to be defined on them.
    surprise = cross_entropy(
        bayes_model(ginc, smoothing=0.0), documents.tokens, tokens_per_batch=WHOLE, progress=context.progress
    )
    found = mean(surprise, unit="nats per symbol")
    record.value("cross_entropy", found.value)
    record.finding(
        "cross_entropy",
        "What is the smallest loss that any model can have on these documents?",
        "agrees",
        f"{found} for the exact mixture of {ginc.inside} concepts.",
        predicted=found,
    )


def _report(
    record: Recorder,
    config: GincBayesConfig,
    rates: dict[int, Estimate],
    known: np.ndarray,
    slope: Estimate | None,
) -> None:
    for number, rate in rates.items():
        record.value(f"accuracy_{number}", rate.value)
        record.value(f"posterior_{number}", float(known[:, number].mean()))
    record.value("log_odds_per_shot", None if slope is None else slope.value)
    columns = ("shots", "accuracy, %", "low", "high", "posterior of the truth", "prompts with less than half")
    rows = [
        (
            number,
            *(round(100 * part, 1) for part in (rate.value, rate.low or 0.0, rate.high or 0.0)),
            round(float(known[:, number].mean()), 3),
            round(float((known[:, number] < 0.5).mean()), 3),
        )
        for number, rate in rates.items()
    ]
    note = f"Labels shown: {config.labels}. Transitions are smoothed by {config.smoothing:g}, since prompts jump."
    record.table("accuracy", "Exact Bayes by number of shots", columns, rows, note=note)
    first, last = min(rates), max(rates)
    sure = float(known[:, last].mean())
    record.finding(
        "identified",
        f"Does the prompt tell the concept, with {config.labels} labels?",
        "agrees" if sure > 0.9 else "disagrees",
        f"After {last} shots the true concept has posterior {sure:.2f} on average; accuracy goes from "
        f"{100 * rates[first].value:.0f} to {100 * rates[last].value:.0f} %.",
        predicted=Estimate(value=1.0, method="limit of many shots"),
        measured=mean(known[:, last]),
        assumptions=(
            Assumption(
                statement="A delimiter makes examples independent.",
                status="fails",
                how="prompts jump at delimiters where concepts do not, hence the smoothing",
            ),
        ),
        advice="" if sure > 0.9 else "Inputs alone do not tell the concepts apart here: labels matter.",
    )
