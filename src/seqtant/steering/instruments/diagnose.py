"""Checks assumptions A1 to A3 of the theorems and says up to which strength each holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seqtant.findings import Assumption, Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import mean
from seqtant.steering.analysis.assumptions import LINEAR, MARGIN, NOISE
from seqtant.steering.analysis.assumptions_check import logit_norms, wrong_noise
from seqtant.steering.analysis.caveats import warn_of
from seqtant.steering.analysis.linearity import proportion
from seqtant.steering.config import DiagnoseConfig
from seqtant.steering.data.items import Question
from seqtant.steering.inputs import open_bench
from seqtant.steering.sweeping.bench import Bench
from seqtant.steering.sweeping.gradients import helpfulness_slopes
from seqtant.steering.sweeping.strength_range import usable_range

LOSS = 0.1
"""Share of helpfulness that is lost where the range of a diagnosis ends."""


def run(config: DiagnoseConfig, context: Context) -> Result:
    """Checks A1 to A3.

    Raises:
        InputError: Something cannot be read.
    """
    with Recorder(
        "steering.diagnose", f"What the theory assumes of steering {config.model}", config, context, papers=(1,)
    ) as record:
        bench = open_bench(config, context)
        strengths = _strengths(config, bench)
        warn_of(record, bench, strengths)
        _linearity(record, config, bench, strengths)
        _margin(record, config, bench, strengths)
        _noise(record, config, bench, strengths)
    return record.result


def _strengths(config: DiagnoseConfig, bench: Bench) -> list[float]:
    if config.strengths is not None:
        return sorted(set(config.strengths))
    reach = usable_range(bench, LOSS, lambda read: getattr(read, config.score))
    return [reach * step / 6 for step in range(1, 7)]


def _linearity(record: Recorder, config: DiagnoseConfig, bench: Bench, strengths: Sequence[float]) -> None:
    norms = logit_norms(bench, strengths)
    line = proportion(np.array(strengths), norms.mean(axis=1), config.fit)
    record.value("norm_slope", line.slope)
    record.value("norm_r2", line.r_squared)
    record.value("norm_range", line.reach)
    for strength, row in zip(strengths, norms, strict=True):
        record.measure("logit_norm", float(row.mean()), step=strength)
    holds = line.reach > 0
    record.finding(
        "linearity",
        "Does the change of the logits grow in proportion to the strength (A1)?",
        "agrees" if holds else "disagrees",
        f"Up to strength {line.reach:.3g} with R2 of at least {config.fit}; R2 {line.r_squared:.4f} up to "
        f"{max(strengths):.3g}.",
        predicted=Estimate(value=1.0, method="R2 of exact proportion"),
        measured=Estimate(value=line.r_squared, method="least squares through 0", n=len(strengths)),
        assumptions=(Assumption(statement=LINEAR, status="holds" if holds else "fails", how="measured here"),),
    )


def _margin(record: Recorder, config: DiagnoseConfig, bench: Bench, strengths: Sequence[float]) -> None:
    read = bench.read_behavior([0.0, *strengths])
    gaps = [read.pair_gaps(strength) for strength in strengths]
    worst = np.array([own.min() for own, _ in gaps])
    means = np.array([own.mean() for _, own in gaps])
    kept = [strength for strength, gap in zip(strengths, worst, strict=True) if gap > 0]
    mean_gap = mean(gaps[0][1], unit="nats per unit strength")
    record.value("margin_worst", float(worst[0]))
    record.value("margin_mean", mean_gap.value)
    record.value("margin_prompts", float((gaps[0][0] > 0).mean()))
    record.value("margin_range", max(kept, default=0.0))
    record.table(
        "gaps",
        "Gaps between good and bad replies, per unit strength",
        ("strength", "worst pair", "5 % of prompts", "median of prompts", "mean gap"),
        [
            (
                round(strength, 4),
                round(float(worst[i]), 5),
                *(round(float(np.quantile(gaps[i][0], q)), 5) for q in (0.05, 0.5)),
                round(float(means[i]), 5),
            )
            for i, strength in enumerate(strengths)
        ],
        note="Worst is over all pairs of a good and a bad reply, then over prompts (or their quantile): it guarantees. "
        "The mean gap, weighted by probability, predicts.",
    )
    for strength, low, middle in zip(strengths, worst, means, strict=True):
        record.measure("worst_gap", float(low), step=strength)
        record.measure("mean_gap", float(middle), step=strength)
    holds = float(worst[0]) > 0
    record.finding(
        "margin",
        "Does every good reply gain on every bad one (A2)?",
        "agrees" if holds else ("vacuous" if mean_gap.value > 0 else "disagrees"),
        f"Worst pair {worst[0]:.3g}, mean {mean_gap.value:.3g} nats per unit strength; "
        f"{100 * float((gaps[0][0] > 0).mean()):.0f} % of prompts have a margin."
        + ("" if holds else " Without one the guarantee says nothing for the rest; the mean still predicts."),
        predicted=None,
        measured=mean_gap,
        assumptions=(Assumption(statement=MARGIN, status="holds" if holds else "fails", how="measured here"),),
    )


def _noise(record: Recorder, config: DiagnoseConfig, bench: Bench, strengths: Sequence[float]) -> None:
    if not isinstance(bench.helpfulness[0], Question):
        record.warn("A3 is about questions with a right answer; helpfulness is measured on texts, so it is not checked")
        return
    noise = wrong_noise(bench, strengths, config.top)
    line = proportion(np.array(strengths), noise.deviation(), config.fit)
    skew, kurtosis, distance = noise.shape()
    for name, number in {
        "noise_slope": line.slope,
        "noise_r2": line.r_squared,
        "noise_range": line.reach,
        "noise_skew": skew,
        "noise_kurtosis": kurtosis,
        "noise_ks": distance,
    }.items():
        record.value(name, number)
    for strength, deviation in zip(strengths, noise.deviation(), strict=True):
        record.measure("noise", float(deviation), step=strength)
    drift = None
    if config.positions == "all":
        slopes = helpfulness_slopes(bench, restricted=config.score == "restricted").sum(axis=1)
        drift = mean(slopes, unit="nats per unit strength")
        record.value("linear_term", drift.value)
    centered = drift is None or (drift.low is not None and drift.high is not None and drift.low <= 0 <= drift.high)
    gaussian = distance < 0.1
    straight = line.reach > 0
    record.finding(
        "noise",
        "Is steering mere Gaussian noise to unrelated questions (A3)?",
        "agrees" if straight and gaussian and centered else "disagrees",
        f"Its deviation grows by {line.slope:.3g} per unit strength, in proportion up to {line.reach:.3g}; skewness "
        f"{skew:.2f}, excess kurtosis {kurtosis:.2f}, distance to a Gaussian {distance:.3f}"
        + ("." if drift is None else f"; mean slope of log P {drift.value:.3g}."),
        predicted=Estimate.exact(0.0, unit="nats per unit strength") if drift else None,
        measured=drift,
        assumptions=(
            Assumption(statement=NOISE, status="holds" if straight and gaussian and centered else "fails", how="here"),
        ),
        advice=""
        if centered
        else "The loss has a linear part on these questions: the purely quadratic law misses it, "
        "`steering choose` fits both.",
    )
