"""Computes all headline numbers of one study with their intervals, clustered by prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seqtant.beb import theory
from seqtant.beb.estimation.alpha import AlphaDiagnostics, AlphaEstimate, diagnose, estimate_alpha
from seqtant.beb.estimation.estimates import (
    Curve,
    bootstrap_interval,
    extreme_divergence,
    extreme_interval,
    halfway_length,
    variance_curve,
    variance_slope,
    widen,
    worst_behavior,
)
from seqtant.beb.study.inputs import MINUS, PLUS, Study
from seqtant.beb.study.measurement import Measurement, measure_prompts
from seqtant.findings import Estimate
from seqtant.runs.recorder import Context

RESAMPLES = 43
"""Last part of the seed of the resamples."""
BOUNDS = ("misalign", "misalign_tight", "mass", "mass_tight", "mass_clt")
NATS = ("log_inverse_alpha", "raw_area", "floor", "beta", "beta_prime")
UNITS: dict[str, str] = {**dict.fromkeys(NATS, "nats"), "sigma2": "nats²", "sigma2_slope": "nats²"}
"""Units of what is no length."""


@dataclass(frozen=True)
class Summary:
    """Numbers of one study."""

    estimates: Mapping[str, Estimate]
    """By the names that results use; lengths in sentences."""
    alpha: AlphaEstimate
    diagnostics: AlphaDiagnostics
    predicted: Curve
    """Predicted mean behavior at the lengths."""
    resampled: Mapping[str, Sequence[float]]
    """The numbers of each resample."""
    errors: Curve
    """Standard error of the measured mean behavior: of the prompts sampled and of the scorer's check."""

    @property
    def refused(self) -> bool:
        """Whether no log(1/alpha) is given."""
        return bool(self.diagnostics.refusals)


def measure_and_summarize(study: Study, context: Context) -> tuple[Measurement, Summary, np.random.Generator]:
    """Measures a study and summarizes it; the generator goes on where the resamples ended."""
    config, bad, good = study.config, study.sample(study.minus, MINUS), study.sample(study.plus, PLUS)
    measurement = measure_prompts(
        study.model,
        study.minus,
        study.plus,
        bad.prompts,
        good.prompts,
        study.reader,
        dropped=bad.dropped + good.dropped,
        floor=config.floor,
        progress=context.progress,
    )
    generator = np.random.default_rng([context.seed, RESAMPLES])
    summary = summarize(measurement, generator, eps=config.eps, delta=config.delta, resamples=config.resamples)
    return measurement, summary, generator


def summarize(
    measurement: Measurement, generator: np.random.Generator, *, eps: float, delta: float, resamples: int
) -> Summary:
    """Computes every number on the prompts and on resampled ones."""
    values = numbers(measurement, eps=eps, delta=delta)
    count, check = len(measurement.model), measurement.check
    resampled: dict[str, list[float]] = {name: [] for name in values}
    worst: list[float] = []
    curves: list[Curve] = []
    # Whole prompts are resampled: sentences of one prompt depend on each other.
    for _ in range(resamples):
        other = measurement.select(*measurement.resample(generator))
        worst.append(float(np.clip(other.minus.mean(axis=0).max(), -1.0, 1.0)))
        curves.append(other.model.mean(axis=0))
        for name, value in numbers(other, eps=eps, delta=delta).items():
            resampled[name].append(value)
    estimates = {
        name: bootstrap_interval(value, resampled[name], count, UNITS.get(name, "sentences"), check)
        for name, value in values.items()
    }
    # A corrected mean can lie beyond the scale.
    gamma = float(np.clip(measurement.minus.mean(axis=0).max(), -1.0, 1.0))
    estimates |= {
        "beta": extreme_interval(measurement.to_plus.divergence, values["beta"], "least"),
        "beta_prime": extreme_interval(measurement.from_plus.divergence, values["beta_prime"], "largest"),
        "gamma": worst_behavior(measurement.minus)
        if check is None
        else bootstrap_interval(gamma, worst, count, "", check),
    }
    alpha = estimate_alpha(measurement.to_model, measurement.own_plus)
    # What other stops make of log(1/alpha) widens everything that follows from it.
    if alpha.other_stops:
        least, most = (numbers(measurement, eps=eps, delta=delta, log_inverse_alpha=end) for end in alpha.range)
        for name in ("log_inverse_alpha", "halfway_predicted", *BOUNDS):
            low, value, high = sorted((least[name], values[name], most[name]))
            estimates[name] = widen(estimates[name], value - low, high - value)
    diagnostics = diagnose(measurement.to_model, alpha, values["beta"], estimates["log_inverse_alpha"])
    predicted = measurement.predicted(alpha.log_inverse_alpha)
    return Summary(estimates, alpha, diagnostics, predicted, resampled, np.std(curves, axis=0, ddof=1))


def numbers(
    measurement: Measurement, *, eps: float, delta: float, log_inverse_alpha: float | None = None
) -> dict[str, float]:
    """Computes every number of some prompts, by default with the log(1/alpha) that they give themselves.

    Lengths that cannot be are infinite.
    """
    alpha = estimate_alpha(measurement.to_model, measurement.own_plus)
    value = alpha.log_inverse_alpha if log_inverse_alpha is None else log_inverse_alpha
    beta = extreme_divergence(measurement.to_plus.divergence, "least")
    sigma2 = float(variance_curve(measurement.to_plus.log_ratio).max())
    bounds: dict[str, float] = dict.fromkeys(BOUNDS, math.inf)
    if value > 0 and beta > 0 and sigma2 > 0:
        known, sigma = (-value, beta, eps), math.sqrt(sigma2)
        found = [theory.misalign(*known, form=form) for form in ("paper", "tight")]
        found += [theory.mass(*known, sigma=sigma, delta=delta, form=form) for form in theory.FORMS]
        bounds = {name: length.sentences for name, length in zip(BOUNDS, found, strict=True)}
    bottom, lengths = float(measurement.minus.mean()), measurement.lengths
    return {
        "raw_area": alpha.raw,
        "floor": alpha.floor,
        "beta": beta,
        "beta_prime": extreme_divergence(measurement.from_plus.divergence, "largest"),
        "sigma2": sigma2,
        "sigma2_slope": variance_slope(measurement.to_plus.log_ratio),
        "halfway_measured": halfway_length(measurement.model.mean(axis=0), bottom, lengths),
        "log_inverse_alpha": value,
        "halfway_predicted": halfway_length(measurement.predicted(value), bottom, lengths),
        **bounds,
    }
