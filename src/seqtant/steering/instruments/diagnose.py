"""Checks assumptions A1 to A3 of the theorems and reports up to which strength each holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy import stats

from seqtant.findings import Assumption, Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import mean
from seqtant.steering.analysis.logits import logit_changes, prompts_only, sweep_with_zero
from seqtant.steering.config import DiagnoseConfig
from seqtant.steering.data.items import Question
from seqtant.steering.inputs import open_bench, record_warnings, title_of
from seqtant.steering.sweeping.bench import Bench, helpfulness_gradients, usable_range
from seqtant.steering.theory import LINEAR, MARGIN, NOISE, fit_proportional

LOSS = 0.1
"""Share of helpfulness that is lost where the range of a diagnosis ends."""


@verb(DiagnoseConfig)
def diagnose(config: DiagnoseConfig, context: Context) -> Result:
    """Checks what the theory assumes of a model, a vector and items, and up to which strength each assumption holds.

    A1: the norm of the change of the logits grows in proportion to the strength. A2: every good reply gains on every
    bad one. A3: wrong answers to unrelated questions move like Gaussian noise around 0.

    Returns:
        A finding per assumption; slopes, ranges and R^2 of the straight lines through the origin; the worst and the
        mean margin; skewness, kurtosis and distance to a Gaussian of the noise.

    Raises:
        InputError: Something cannot be read.

    Example:
        >>> found = diagnose("reference", strengths=[4.0, 8.0, 16.0], prompts=4, items=8, max_pairs=16)
        >>> [finding.key for finding in found.findings]
        ['linearity', 'margin', 'noise']
    """
    title = f"What the theory assumes of steering {title_of(config.model)}"
    with Recorder("steering.diagnose", title, config, context, papers=(1,)) as record:
        bench = open_bench(config, context)
        if config.strengths is not None:
            strengths = sorted(set(config.strengths))
        else:
            reach = usable_range(bench, LOSS, config.score)
            strengths = [reach * step / 6 for step in range(1, 7)]
        record_warnings(record, bench, strengths)
        # A1: the norm of the change of the logits after behavior prompts, in proportion to the strength.
        norms, _ = logit_changes(bench, strengths)
        line = fit_proportional(np.array(strengths), norms.mean(axis=1), config.fit)
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
        _check_margin(record, bench, strengths)
        if isinstance(bench.helpfulness[0], Question):
            _check_noise(record, config, bench, strengths)
        else:
            record.warn(
                "A3 is about questions with a right answer; helpfulness is measured on texts, so it is not checked"
            )
    return record.result


def _check_margin(record: Recorder, bench: Bench, strengths: Sequence[float]) -> None:
    """A2: the worst gap between changes of good and of bad log-probabilities, above 0."""
    scores = bench.score_behavior([0.0, *strengths])
    gaps = [scores.pair_gaps(strength) for strength in strengths]
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


def _check_noise(record: Recorder, config: DiagnoseConfig, bench: Bench, strengths: Sequence[float]) -> None:
    """A3: wrong answers move like Gaussian noise around 0 whose deviation is in proportion to the strength."""
    noise = wrong_answer_noise(bench, strengths, config.top)  # [strengths, samples]
    deviations = np.sqrt((noise**2).mean(axis=1))  # about zero, not about the mean
    line = fit_proportional(np.array(strengths), deviations, config.fit)
    # The shape is that of the smallest strength, where the theory speaks.
    x = noise[0]
    skew, kurtosis = float(stats.skew(x)), float(stats.kurtosis(x))
    distance = float(stats.kstest((x - x.mean()) / x.std(), "norm").statistic)
    for name, number in {
        "noise_slope": line.slope,
        "noise_r2": line.r_squared,
        "noise_range": line.reach,
        "noise_skew": skew,
        "noise_kurtosis": kurtosis,
        "noise_ks": distance,
    }.items():
        record.value(name, number)
    for strength, deviation in zip(strengths, deviations, strict=True):
        record.measure("noise", float(deviation), step=strength)
    drift = None
    if config.positions == "all":
        slopes = helpfulness_gradients(bench, restricted=config.score == "restricted").sum(axis=1)
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


@torch.no_grad()
def wrong_answer_noise(bench: Bench, strengths: Sequence[float], top: int) -> Float[np.ndarray, "strengths samples"]:
    """Computes the change of a wrong token's logit minus that of the right one, X in the theory.

    Of every question the ``top`` likeliest wrong tokens are taken.
    """
    plan = prompts_only(bench.helpfulness_plan)
    # The first token of the right answer of each question.
    right = {
        target.item: target.tokens[0]
        for target in bench.helpfulness_plan.targets
        if target.number == bench.questions[target.item].answer
    }
    parts: list[np.ndarray] = []
    for swept in sweep_with_zero(bench, plan, strengths):
        for place, row in enumerate(swept.rows):
            logits = bench.model.head(swept.states[:, place]).double()  # [1 + strengths, tokens]
            correct = right[plan.rows[row].item]
            start = logits[0].clone()
            start[correct] = -torch.inf
            wrong = start.topk(min(top, len(start) - 1)).indices
            change = logits[1:] - logits[0]
            parts.append((change[:, wrong] - change[:, [correct]]).cpu().numpy())
    return np.concatenate(parts, axis=1)
