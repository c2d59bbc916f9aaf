"""All headline numbers of one study with their intervals, clustered by prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seqtant.beb import theory
from seqtant.beb.config import Sides
from seqtant.beb.estimation.alpha import Area, read_area
from seqtant.beb.estimation.curves import (
    Curve,
    halfway_of,
    largest_divergence,
    least_divergence,
    predicted_behavior,
    variance_curve,
    variance_slope,
)
from seqtant.beb.estimation.diagnostics import Gates, check
from seqtant.beb.estimation.intervals import interval, simultaneous, widened, worst_behavior
from seqtant.beb.study.measurement import Observed
from seqtant.findings import Estimate

UNITS = {
    "log_inverse_alpha": "nats",
    "raw_area": "nats",
    "floor": "nats",
    "beta": "nats",
    "beta_prime": "nats",
    "sigma2": "nats²",
    "sigma2_slope": "nats²",
}
"""Units of what is no length."""


@dataclass(frozen=True)
class Summary:
    """Numbers of one study."""

    estimates: Mapping[str, Estimate]
    """By the names that results use; lengths in sentences."""
    area: Area
    """The reading of log(1/alpha)."""
    gates: Gates
    """Whether it may be given."""
    predicted: Curve
    """Predicted mean behavior at the places."""
    drawn: Mapping[str, Sequence[float]]
    """The same numbers for each resample."""
    errors: Curve
    """Standard error of the measured mean behavior there: of the prompts drawn and of the scorer's check."""

    @property
    def refused(self) -> bool:
        """Whether no log(1/alpha) is given."""
        return bool(self.gates.refusals)


def summarize(observed: Observed, config: Sides, generator: np.random.Generator) -> Summary:
    """Computes every number on the prompts and on resampled ones.

    Args:
        observed: What the study observed.
        config: eps, delta and the number of resamples.
        generator: Source of the resamples.
    """
    values = numbers(observed, config)
    count = len(observed.model)
    drawn: dict[str, list[float]] = {name: [] for name in values}
    worst: list[float] = []
    curves: list[Curve] = []
    for _ in range(config.resamples):
        other = observed.select(observed.draw(generator))
        worst.append(_worst(other.minus))
        curves.append(other.model.mean(axis=0))
        for name, value in numbers(other, config).items():
            drawn[name].append(value)
    estimates = {
        name: interval(values[name], drawn[name], count, UNITS.get(name, "sentences"), observed.check)
        for name in values
    }
    estimates |= {
        "beta": simultaneous(observed.to_plus.divergence, values["beta"], "least"),
        "beta_prime": simultaneous(observed.from_plus.divergence, values["beta_prime"], "largest"),
        "gamma": worst_behavior(observed.minus)
        if observed.check is None
        else interval(_worst(observed.minus), worst, count, "", observed.check),
    }
    area = read_area(observed.to_model, observed.own_plus)
    least, most = (_of_alpha(observed, config, end) for end in area.ends)
    for name in least if area.others else ():
        low, value, high = sorted((least[name], values[name], most[name]))
        estimates[name] = widened(estimates[name], value - low, high - value)
    gates = check(observed.to_model, area, values["beta"], estimates["log_inverse_alpha"])
    return Summary(estimates, area, gates, _prediction(observed, area.value), drawn, np.std(curves, axis=0, ddof=1))


def numbers(observed: Observed, config: Sides) -> dict[str, float]:
    """Every number of some prompts; lengths that cannot be are infinite."""
    area = read_area(observed.to_model, observed.own_plus)
    bottom = float(observed.minus.mean())
    return {
        "raw_area": area.raw,
        "floor": area.floor,
        "beta": least_divergence(observed.to_plus.divergence),
        "beta_prime": largest_divergence(observed.from_plus.divergence),
        "sigma2": _sigma2(observed),
        "sigma2_slope": variance_slope(observed.to_plus.log_ratio),
        "halfway_measured": halfway_of(observed.model.mean(axis=0), bottom, observed.places),
        **_of_alpha(observed, config, area.value),
    }


def _of_alpha(observed: Observed, config: Sides, log_inverse_alpha: float) -> dict[str, float]:
    """What follows from log(1/alpha), and itself."""
    curve = _prediction(observed, log_inverse_alpha)
    beta, sigma2 = least_divergence(observed.to_plus.divergence), _sigma2(observed)
    return {
        "log_inverse_alpha": log_inverse_alpha,
        "halfway_predicted": halfway_of(curve, float(observed.minus.mean()), observed.places),
        **lengths(log_inverse_alpha, beta, sigma2, config),
    }


def _sigma2(observed: Observed) -> float:
    return float(variance_curve(observed.to_plus.log_ratio).max())


def lengths(log_inverse_alpha: float, beta: float, sigma2: float, config: Sides) -> dict[str, float]:
    """The bounds on the length, in sentences."""
    names = ("misalign", "misalign_tight", "mass", "mass_tight", "mass_clt")
    if log_inverse_alpha <= 0 or beta <= 0 or sigma2 <= 0:
        return dict.fromkeys(names, math.inf)
    known = (-log_inverse_alpha, beta, config.eps)
    more = {"sigma": math.sqrt(sigma2), "delta": config.delta}
    found = [theory.misalign(*known, form=form) for form in ("paper", "tight")]
    found += [theory.mass(*known, **more, form=form) for form in theory.FORMS]
    return {name: length.sentences for name, length in zip(names, found, strict=True)}


def _prediction(observed: Observed, log_inverse_alpha: float) -> Curve:
    return predicted_behavior(
        log_inverse_alpha, observed.to_plus.log_ratio, observed.minus, observed.plus, observed.places
    )


def _worst(minus: np.ndarray) -> float:
    return float(np.clip(minus.mean(axis=0).max(), -1.0, 1.0))
