"""Measures behavior against prompt length, with predicted curves on top: exact, logistic-normal, Bayesian law."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from seqtant.beb import theory
from seqtant.beb.config import CurveConfig
from seqtant.beb.estimation.estimates import halfway_length
from seqtant.beb.study.inputs import open_study, title_of, true_log_inverse_alpha
from seqtant.beb.study.measurement import Measurement
from seqtant.beb.study.reporting import (
    finite,
    record_curves,
    record_fit,
    record_halfway,
    record_prompts,
    record_values,
)
from seqtant.beb.study.summary import Summary, measure_and_summarize
from seqtant.findings import Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb


@verb(CurveConfig)
def behavior_curve(config: CurveConfig, context: Context) -> Result:
    """Measures a model's behavior against prompt length, with predicted curves on top.

    Four laws: the exact one takes the log-ratio of every prompt; the logistic-normal its mean and variance; the
    Bayesian law a sigmoid with a learning efficiency; Lemma 7 one prompt's sigmoid with the least beta.

    Returns:
        Half-way length in sentences and root mean square distance from the measured curve of each law.

    Raises:
        InputError: A model cannot be opened, P- is missing, or prompts do not fit the context.

    Example:
        >>> found = behavior_curve("world", prompts=8, sentences=16, resamples=50)
        >>> found.values["error_exact"] < found.values["error_lemma_7"]
        True
    """
    title = f"Behavior of {title_of(config.model)} against prompt length"
    with Recorder("beb.curve", title, config, context, papers=(3,)) as record:
        study = open_study(config, context, one_tokenizer=False)
        measurement, summary, _ = measure_and_summarize(study, context)
        record_values(record, summary, true_log_inverse_alpha(study.config))
        record_halfway(record, summary)
        record_curves(record, measurement, summary)
        if study.fitted is not None:
            record_fit(record, study.fitted)
        if not summary.refused and summary.alpha.log_inverse_alpha > 0:
            _record_laws(record, measurement, summary, fit=config.fit_efficiency)
        record_prompts(record, study, measurement)
    return record.result


def _record_laws(record: Recorder, measurement: Measurement, summary: Summary, *, fit: bool) -> None:
    """Records the laws in closed form, and how far each curve is from the measured one."""
    lengths, measured = np.asarray(measurement.lengths), measurement.model.mean(axis=0)
    log_alpha, beta = -summary.alpha.log_inverse_alpha, summary.estimates["beta"].value
    # The log-ratio's mean grows by the average separation, not by its least value.
    mean = max(float(measurement.to_plus.divergence.mean()), 1e-6)
    sigma = math.sqrt(summary.estimates["sigma2"].value)
    good, bad = float(measurement.plus.mean()), float(measurement.minus.mean())

    def error(log_efficiency: float) -> float:
        weight = theory.sigmoid_weight(log_alpha, mean, lengths, math.exp(log_efficiency))
        return float(np.sum((weight * bad + (1 - weight) * good - measured) ** 2))

    efficiency = 1.0
    if fit:
        # The learning efficiency with which the Bayesian law comes nearest to the measured curve.
        found: Any = minimize_scalar(error, bounds=(-3.0, 3.0), method="bounded")
        efficiency = math.exp(float(found.x))
    weights = {
        "exact": None,
        "logistic_normal": theory.expected_weight(log_alpha, mean, sigma, lengths),
        "bayes": theory.sigmoid_weight(log_alpha, mean, lengths, efficiency),
        "lemma_7": theory.sigmoid_weight(log_alpha, max(beta, 1e-6), lengths),
    }
    rows = []
    for name, weight in weights.items():
        # The exact curve takes the log-ratio of every prompt; the laws one weight per length.
        curve = summary.predicted if weight is None else weight * bad + (1 - weight) * good
        half = finite(halfway_length(curve, bad, measurement.lengths))
        apart = float(np.sqrt(np.mean((curve - measured) ** 2)))
        record.value(f"halfway_{name}", half)
        record.value(f"error_{name}", apart)
        rows.append((name.replace("_", " "), None if half is None else round(half, 3), round(apart, 4)))
        for n, value in zip(measurement.lengths, curve, strict=True):
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
