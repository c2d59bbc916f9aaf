"""Fits the paper's published curves again, as it did and as its own theory asks; no model is run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seqtant.beb import theory
from seqtant.beb.config import RefitConfig
from seqtant.beb.estimation.paper_fits import Line, behavior_sigmoid, first_points_line, largest_ratio
from seqtant.beb.estimation.published import CURVES, SOURCE, Published
from seqtant.beb.study.scope import note_scope
from seqtant.findings import Cell, Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.fits import Fit

EPS = 0.1
OF = 32


@dataclass(frozen=True)
class _Fitted:
    chat: Line
    pretrained: Line
    sigma2: float
    plain: Fit
    guarded: Fit
    area: float


def run(config: RefitConfig, context: Context) -> Result:
    """Fits every published curve.

    Raises:
        InputError: A fit does not converge.
    """
    with Recorder("beb.refit", "The paper's curves, fitted again", config, context, papers=(3,)) as record:
        fitted = {name: _fit(curves) for name, curves in CURVES.items()}
        _values(record, CURVES[config.series], fitted[config.series])
        _mixture(record, config.series, CURVES[config.series], fitted[config.series])
        _halfway(record, config.series, fitted[config.series])
        _tabulate(record, fitted)
        _rows(record, CURVES[config.series])
        note_scope(record)
    return record.result


def _fit(curves: Published) -> _Fitted:
    n = list(range(1, len(curves.chat) + 1))
    # Only some of the variances are given; the largest over n is set by the first.
    ratios = [largest_ratio([0.0] * (count - 1) + [variance]) for count, variance in curves.variances]
    return _Fitted(
        chat=first_points_line(curves.chat),
        pretrained=first_points_line(curves.pretrained),
        sigma2=max(ratios),
        plain=behavior_sigmoid(n, np.array(curves.positive) / OF),
        guarded=behavior_sigmoid(n, np.array(curves.positive_guarded) / OF),
        area=float(np.sum(curves.chat)),
    )


def _values(record: Recorder, curves: Published, fitted: _Fitted) -> None:
    center, slope = (fitted.plain.estimate(name).value for name in ("center", "slope"))
    for name, value in {
        "paper_beta": fitted.chat.slope,
        "paper_log_inverse_alpha": fitted.chat.start,
        "paper_ratio": fitted.chat.ratio,
        "pretrained_beta": fitted.pretrained.slope,
        "pretrained_log_inverse_alpha": fitted.pretrained.start,
        "pretrained_ratio": fitted.pretrained.ratio,
        "beta_factor": fitted.chat.slope / fitted.pretrained.slope,
        "sigma2": fitted.sigma2,
        "sigma_over_beta": math.sqrt(fitted.sigma2) / curves.separation[0],
        "beta_prime_over_beta": curves.separation[1] / curves.separation[0],
        "halfway": center,
        "halfway_slope": slope,
        "halfway_guarded": fitted.guarded.estimate("center").value,
        "guard_delay": fitted.guarded.estimate("center").value - center,
        "area": fitted.area,
        "misalign": theory.misalign(-fitted.chat.start, fitted.chat.slope, EPS).sentences,
    }.items():
        record.value(name, value)


def _mixture(record: Recorder, name: str, curves: Published, fitted: _Fitted) -> None:
    last = curves.chat[-1]
    record.finding(
        "mixture",
        f"Is the published curve of {name} that of a mixture with the published log(1/alpha)?",
        "disagrees",
        f"No: ten divergences sum to {fitted.area:.1f} nats, and those of a mixture cannot sum to more than "
        f"log(1/alpha), read there as {fitted.chat.start:.1f}; after ten sentences {last:.2f} nats are left in each.",
        predicted=Estimate(value=fitted.chat.start, high=fitted.chat.start, unit="nats", method="largest possible sum"),
        measured=Estimate.exact(fitted.area, unit="nats", method="sum of ten published means"),
        advice="A fitted P- is a proxy of what the model holds: take the area above the floor, and look at the gate.",
    )


def _halfway(record: Recorder, name: str, fitted: _Fitted) -> None:
    center, slope = (fitted.plain.estimate(part, unit=unit) for part, unit in (("center", "sentences"), ("slope", "")))
    smeared = theory.half_slope(fitted.chat.slope, math.sqrt(fitted.sigma2), center.value)
    record.value("slope_predicted_one_prompt", fitted.chat.slope)
    record.value("slope_predicted_average", smeared)
    record.finding(
        "slope",
        f"How steep is the published behavior of {name} at its half-way length?",
        "agrees" if 0.25 <= smeared / slope.value <= 4 else "disagrees",
        f"{slope.value:.2f} per sentence; Lemma 7 for one prompt has {fitted.chat.slope:.2f}, the average over prompts "
        f"with the published variance {smeared:.2f}: averaging explains the order of magnitude.",
        predicted=Estimate.exact(smeared, method="logistic-normal average"),
        measured=slope,
    )


def _tabulate(record: Recorder, fitted: dict[str, _Fitted]) -> None:
    lines: list[tuple[Cell, ...]] = []
    for name, each in fitted.items():
        for model, line in (("chat", each.chat), ("pretrained", each.pretrained)):
            lines.append((f"{model} {name}", round(line.slope, 2), round(line.start, 2), round(line.ratio, 2)))
    columns = ("series", "slope: beta", "start: log(1/alpha)", "ratio, sentences")
    record.table("lines", "The line through the first three points", columns, lines, note=SOURCE)
    rows = [
        (name, guard, *(round(fit.estimate(part).value, 2) for part in ("center", "slope")))
        for name, each in fitted.items()
        for guard, fit in (("none", each.plain), ("default system prompt", each.guarded))
    ]
    record.table("sigmoids", "The sigmoid of the behavior", ("series", "guard", "half-way", "slope"), rows, note=SOURCE)


def _rows(record: Recorder, curves: Published) -> None:
    for n, value in enumerate(curves.chat, start=1):
        record.measure("divergence", value, unit="nats", step=n)
        record.measure("positive", curves.positive[n - 1] / OF, step=n)
        record.measure("positive_guarded", curves.positive_guarded[n - 1] / OF, step=n)
