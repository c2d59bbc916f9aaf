"""Measures behavior against prompt length, with predicted curves on top: exact, logistic-normal, Bayesian law."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from seqtant.beb import theory
from seqtant.beb.components.fit import record_fit
from seqtant.beb.config import CurveConfig
from seqtant.beb.estimation.curves import halfway_of
from seqtant.beb.instruments.measure import RESAMPLES
from seqtant.beb.study.components_study import open_study
from seqtant.beb.study.measurement import Observed, observe
from seqtant.beb.study.reporting import (
    finite,
    record_curves,
    record_halfway,
    record_values,
    warn_of,
    warn_of_tokenizers,
)
from seqtant.beb.study.summary import Summary, summarize
from seqtant.beb.study.transcript import prompt_lines, write_transcript
from seqtant.beb.study.truth import true_log_inverse_alpha
from seqtant.findings import Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder


def run(config: CurveConfig, context: Context) -> Result:
    """Measures and predicts.

    Raises:
        InputError: A side cannot be opened, prompts do not fit, or a divergence is infinite.
    """
    title = f"Behavior of {config.model} against prompt length"
    with Recorder("beb.curve", title, config, context, papers=(3,)) as record:
        study = open_study(config, context, one_tokenizer=False)
        observed = observe(study, context)
        summary = summarize(observed, study.config, np.random.default_rng([context.seed, RESAMPLES]))
        record_values(record, summary, true_log_inverse_alpha(study.config))
        record_halfway(record, summary)
        record_curves(record, observed, summary)
        if study.fitted is not None:
            record_fit(record, study.fitted)
        if not summary.refused and summary.area.value > 0:
            _laws(record, observed, summary, fit=config.fit_efficiency)
        warn_of(record, observed, own_plus=observed.own_plus is not None)
        warn_of_tokenizers(record, study)
        write_transcript(record, study, prompt_lines(study, observed.prompts))
    return record.result


def _laws(record: Recorder, observed: Observed, summary: Summary, *, fit: bool) -> None:
    """The two laws in closed form, and how far each curve is from the measured one."""
    places, measured = np.asarray(observed.places), observed.model.mean(axis=0)
    log_alpha, beta = -summary.area.value, summary.estimates["beta"].value
    # The log-ratio's mean grows by the average separation, not by its least value.
    mean = max(float(observed.to_plus.divergence.mean()), 1e-6)
    sigma = math.sqrt(summary.estimates["sigma2"].value)
    good, bad = float(observed.plus.mean()), float(observed.minus.mean())
    efficiency = _efficiency(log_alpha, mean, places, measured, good, bad) if fit else 1.0
    weights = {
        "exact": None,
        "logistic_normal": theory.expected_weight(log_alpha, mean, sigma, places),
        "bayes": theory.sigmoid_weight(log_alpha, mean, places, efficiency),
        "lemma_7": theory.sigmoid_weight(log_alpha, max(beta, 1e-6), places),
    }
    rows = []
    for name, weight in weights.items():
        curve = summary.predicted if weight is None else weight * bad + (1 - weight) * good
        half = halfway_of(curve, bad, observed.places)
        apart = float(np.sqrt(np.mean((curve - measured) ** 2)))
        record.value(f"halfway_{name}", finite(half))
        record.value(f"error_{name}", apart)
        rows.append((name.replace("_", " "), None if finite(half) is None else round(half, 3), round(apart, 4)))
        for n, value in zip(observed.places, curve, strict=True):
            record.measure(name, float(value), step=n)
    record.value("efficiency", efficiency)
    record.table(
        "laws",
        "Predicted curves beside the measured one",
        ("curve", "half-way, sentences", "root mean square distance"),
        rows,
        note="exact takes every prompt's own log-ratio; lemma 7 is one prompt's sigmoid with the least beta, not an "
        f"average; bayes has learning efficiency {efficiency:.3f}{', fitted' if fit else ''}",
    )


def _efficiency(
    log_alpha: float, mean: float, places: np.ndarray, measured: np.ndarray, good: float, bad: float
) -> float:
    """The learning efficiency with which the Bayesian law comes nearest to the measured curve."""

    def error(log_efficiency: float) -> float:
        weight = theory.sigmoid_weight(log_alpha, mean, places, math.exp(log_efficiency))
        return float(np.sum((weight * bad + (1 - weight) * good - measured) ** 2))

    found: Any = minimize_scalar(error, bounds=(-3.0, 3.0), method="bounded")
    return math.exp(float(found.x))
