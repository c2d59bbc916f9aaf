"""The exact Bayes predictor on prompts of GINC: what in-context learning can reach, and what wrong labels do to it."""

from __future__ import annotations

import numpy as np

from seqtant.findings import Assumption, Estimate, Result
from seqtant.icl.config import GincBayesConfig
from seqtant.icl.ginc.bayes import (
    ONE_BATCH,
    bayes_model,
    cross_entropy,
    predict_prompts,
    record_accuracy,
    true_posterior,
)
from seqtant.icl.ginc.dataset import open_ginc, sample_documents, sample_prompts
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.fits import fit_line
from seqtant.stats.intervals import mean


@verb(GincBayesConfig)
def ginc_bayes(config: GincBayesConfig, context: Context) -> Result:
    """Asks the exact Bayes predictor prompts of GINC: accuracy and posterior by number of shots.

    It predicts by the mixture of the concepts, P(label | prompt) = sum_c P(c | prompt) P_c(label | prompt), with
    transitions smoothed a little, since prompts jump where no concept does.

    Returns:
        ``accuracy_N`` and ``posterior_N`` of the true concept after N shots, ``log_odds_per_shot``, and the
        ``cross_entropy`` of documents, the least that any model can reach.

    Raises:
        InputError: A number does not fit.

    Example:
        >>> few = {"shots": (0, 8), "prompts": 20, "documents": 2, "document_length": 32}
        >>> values = ginc_bayes(example_length=5, labels="random", **few).values
        >>> values["accuracy_8"] > 0.8
        True
    """
    title = f"Exact Bayes on GINC-{config.vocabulary}, {config.example_length} symbols per example"
    with Recorder("icl.ginc-bayes", title, config, context, papers=(4,)) as record:
        ginc = open_ginc(config)
        generator = np.random.default_rng([context.seed, config.example_length])
        documents = sample_documents(ginc, config.documents, config.document_length, generator)
        # Documents are what the concepts write: the filter needs no smoothing to be defined on them.
        exact = bayes_model(ginc, smoothing=0.0)
        losses = cross_entropy(exact, documents.tokens, tokens_per_batch=ONE_BATCH, progress=context.progress)
        loss = mean(losses, unit="nats per symbol")
        record.value("cross_entropy", loss.value)
        record.finding(
            "cross_entropy",
            "What is the smallest loss that any model can have on these documents?",
            "agrees",
            f"{loss} for the exact mixture of {ginc.inside} concepts.",
            predicted=loss,
        )
        length, law = config.example_length, config.labels
        prompts = sample_prompts(
            ginc, config.prompts, max(config.shots), length, generator, labels=law, outside=config.outside
        )
        mixture = bayes_model(ginc, smoothing=config.smoothing)
        log_probs, log_posterior = predict_prompts(mixture, prompts, progress=context.progress)
        right = log_probs.argmax(axis=2) == prompts.labels
        rates = record_accuracy(record, right, config.shots, config.labels)
        # Gain per shot of the true concept's log-odds against its best rival: maxima over masked axes.
        mine = np.arange(log_posterior.shape[2]) == prompts.concepts[:, None]
        own = np.where(mine[:, None], log_posterior, -np.inf).max(axis=2)
        rival = np.where(mine[:, None], -np.inf, log_posterior).max(axis=2)
        odds, slope = (own - rival)[:, : min(8, max(config.shots)) + 1], None
        if odds.shape[1] >= 3 and np.isfinite(odds).all():
            slope = fit_line(np.arange(odds.shape[1]), odds.mean(axis=0)).estimate("slope", unit="nats per shot")
        _record_prompts(record, config, rates, true_posterior(log_posterior, prompts), slope)
    return record.result


def _record_prompts(
    record: Recorder, config: GincBayesConfig, rates: dict[int, Estimate], posterior: np.ndarray, slope: Estimate | None
) -> None:
    for number, rate in rates.items():
        record.value(f"accuracy_{number}", rate.value)
        record.value(f"posterior_{number}", float(posterior[:, number].mean()))
    record.value("log_odds_per_shot", None if slope is None else slope.value)
    columns = ("shots", "accuracy, %", "low", "high", "posterior of the truth", "prompts with less than half")
    rows = [
        (
            number,
            *(round(100 * part, 1) for part in (rate.value, rate.low or 0.0, rate.high or 0.0)),
            round(float(posterior[:, number].mean()), 3),
            round(float((posterior[:, number] < 0.5).mean()), 3),
        )
        for number, rate in rates.items()
    ]
    note = f"Labels shown: {config.labels}. Transitions are smoothed by {config.smoothing:g}, since prompts jump."
    record.table("accuracy", "Exact Bayes by number of shots", columns, rows, note=note)
    first, last = min(rates), max(rates)
    sure = float(posterior[:, last].mean())
    record.finding(
        "identified",
        f"Does the prompt tell the concept, with {config.labels} labels?",
        "agrees" if sure > 0.9 else "disagrees",
        f"After {last} shots the true concept has posterior {sure:.2f} on average; accuracy goes from "
        f"{100 * rates[first].value:.0f} to {100 * rates[last].value:.0f} %.",
        predicted=Estimate(value=1.0, method="limit of many shots"),
        measured=mean(posterior[:, last]),
        assumptions=(
            Assumption(
                statement="A delimiter makes examples independent.",
                status="fails",
                how="prompts jump at delimiters where concepts do not, hence the smoothing",
            ),
        ),
        advice="" if sure > 0.9 else "Inputs alone do not tell the concepts apart here: labels matter.",
    )
