"""What the held-out half says of a chosen strength: where the budget is spent, and how good the laws were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqtant.findings import Assumption, Estimate, Verdict
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import mean, percentile
from seqtant.steering.analysis.recommendation import Coherence
from seqtant.steering.analysis.strength_search import (
    Budget,
    Choice,
    StrengthMeasurements,
    crossing,
    operating_point,
    relative_loss,
)
from seqtant.steering.config import ChooseConfig
from seqtant.steering.sweeping.bench import BehaviorScores, Bench, alignment_gradients
from seqtant.steering.theory import MARGIN, NOISE, UNCHECKED, alignment_guarantee, resampled

CLOSE = 0.10
"""Largest relative distance between two strengths that counts as agreement."""
SHARES = (0.02, 0.05, 0.10)
"""Budgets at which the law of small strengths is held against what was measured."""


@dataclass(frozen=True)
class Halves:
    """What is measured to choose, and what verifies it."""

    fitting_bench: Bench
    fitting: StrengthMeasurements
    held_out: StrengthMeasurements
    coherence: Coherence
    budget: Budget
    generator: np.random.Generator


def record_edge(record: Recorder, config: ChooseConfig, halves: Halves, choice: Choice) -> None:
    """The strength that spends the helpfulness budget, measured on one half, beside that of the other half."""
    held_out, strength = halves.held_out, choice.strength
    point = None
    if choice.limited:
        point = operating_point(
            held_out, halves.budget, strength.value, resamples=config.resamples, generator=halves.generator
        )
    held_out.add([strength.value])
    lost = loss_at(held_out, halves.budget, strength.value, config.resamples, halves.generator)
    n = held_out.items.shape[1]
    for name, number in {
        "edge": strength.value,
        "edge_low": strength.low,
        "edge_high": strength.high,
        "edge_loss": lost.value,
        "operating_point": point.value if point else None,
        "items": n,
        "items_needed": choice.items_needed,
    }.items():
        record.value(name, number)
    record.items("helpfulness_unsteered", held_out.items_at([0.0])[0], kind="held-out item")
    there = f"; they lose the budget at {point.value:.4g}" if point else ""
    record.finding(
        "edge",
        f"Do other items lose {100 * config.budget:g} % at the same strength?",
        edge_verdict(choice, point),
        f"At {strength.value:.4g} held-out items lose {100 * lost.value:.2f} %{there}."
        if choice.limited
        else f"Up to the cap of {abs(strength.value):.4g} the budget is never spent; held-out items lose "
        f"{100 * lost.value:.2f} % there.",
        predicted=strength if choice.limited else None,
        measured=point,
        advice="At most this strength, whatever it gains." if choice.limited else "The budget is no limit here.",
    )
    if choice.items_needed > n:
        record.warn(f"{n} held-out items are few: {choice.items_needed} would tell the loss from the budget; give more")


def edge_verdict(choice: Choice, point: Estimate | None) -> Verdict:
    """Agreement within 10 %, else whether the intervals of both strengths have nothing in common."""
    if not choice.limited:
        return "vacuous"
    if point is None:
        return "inconclusive"
    if abs(choice.strength.value / point.value - 1) <= CLOSE:
        return "agrees"
    return "disagrees" if apart(choice.strength, point) else "inconclusive"


def record_law(record: Recorder, config: ChooseConfig, halves: Halves, choice: Choice) -> None:
    """The law of small strengths beside what was measured on the same items, and its refit near the budget."""
    budget, law = halves.budget, choice.first_law
    rows = []
    for share in sorted({*SHARES, budget.share}):
        told, found = float(law.strength(share, budget.side)), crossing(halves.fitting, budget, share)
        known = np.isfinite(found) and np.isfinite(told)
        rows.append((share, told, found, told / found - 1 if known else None))
    for name, number in {
        "linear": choice.linear.value,
        "quadratic": choice.quadratic.value,
        "first_strength": choice.first if np.isfinite(choice.first) else None,
        "pure_quadratic_strength": choice.pure_quadratic if np.isfinite(choice.pure_quadratic) else None,
        "probe": choice.probe,
        **{f"law_error_{100 * share:g}": error for share, _, _, error in rows},
    }.items():
        record.value(name, number)
    record.table(
        "law",
        "The law of small strengths beside measured losses of the same items",
        ("budget", "strength by the law", "measured", "error"),
        [
            (
                share,
                *(round(value, 4) if np.isfinite(value) else None for value in (told, found)),
                error and round(error, 4),
            )
            for share, told, found, error in rows
        ],
    )
    _, told, found, error = next(row for row in rows if row[0] == budget.share)
    errors = ", ".join(f"{100 * e:+.0f} % at {100 * share:g} %" for share, _, _, e in rows if e is not None)
    missed: Verdict = "vacuous" if not np.isfinite(found) else "disagrees"
    record.finding(
        "law",
        "Do small strengths foretell the one that spends the budget?",
        missed if error is None else "agrees" if abs(error) <= CLOSE else "disagrees",
        f"Fitted up to {choice.probe:.3g}, the law errs by {errors}."
        if errors
        else f"Fitted up to {choice.probe:.3g}, the law sees no strength that spends these budgets.",
        predicted=Estimate(value=told, method=f"fitted up to {choice.probe:.3g}") if np.isfinite(told) else None,
        measured=Estimate(value=found, method="between measured strengths") if np.isfinite(found) else None,
        assumptions=(Assumption(statement=NOISE, how=UNCHECKED),),
        supporting=True,
    )
    told_loss = float(choice.law.loss(choice.strength.value))
    record.value("predicted_loss", told_loss)
    if choice.limited:
        measured = relative_loss(halves.fitting, budget, choice.strength.value)
        record.finding(
            "refit",
            "Does the law hold where it was fitted again?",
            "disagrees" if choice.bracketed else "agrees",
            f"Widened {choice.rounds} times, it tells a loss of {100 * told_loss:.2f} % at "
            f"{choice.strength.value:.4g}; the same items lose {100 * measured:.2f} %"
            + (": the strength was bracketed instead." if choice.bracketed else "."),
            supporting=True,
        )


def record_curve(record: Recorder, bench: Bench, halves: Halves, strength: float) -> None:
    """Alignment that the exact slope at 0 predicts along tanh, and what Theorem 1 guarantees, for the held-out half."""
    held_out = halves.held_out
    before, after = held_out.alignment_at([0.0, strength])
    slopes = alignment_gradients(bench).sum(axis=1)  # [prompts]
    # B(r) = tanh(arctanh B_0 + r B'(0) / (1 - B_0^2)): the S-curve with the exact slope at 0.
    odds = np.arctanh(np.clip(before, -1 + 1e-12, 1 - 1e-12))
    told = mean(np.tanh(odds + slopes * strength / np.maximum(1 - before**2, 1e-12)), unit="of alignment")
    found = mean(after, unit="of alignment")
    # Margins of these prompts at this strength, so that the theorem speaks of them and of it.
    sides: dict[str, list[list[np.ndarray]]] = {"good": [], "bad": []}
    for value in (0.0, strength):
        scores = next(scores for scores in held_out.readings if value in scores.strengths)
        for side, rows in sides.items():
            rows.append([own[scores.strengths.index(value)] for own in getattr(scores.behavior, side)])
    good, bad = ([np.stack(pair) for pair in zip(*rows, strict=True)] for rows in sides.values())
    worst, gaps = BehaviorScores((0.0, strength), good, bad).pair_gaps(strength)
    guaranteed = float(alignment_guarantee(strength, worst, before).mean())
    for name, number in {
        "slope": float(slopes.mean()),
        "predicted_alignment": told.value,
        "guaranteed_alignment": guaranteed,
        "worst_margin": float(worst.min()),
        "mean_gap": float(gaps.mean()),
    }.items():
        record.value(name, number)
    bound = "at least" if strength > 0 else "at most"
    record.finding(
        "alignment",
        "Does the slope at 0 foretell that alignment?",
        "disagrees" if apart(told, found) else "agrees",
        f"Alignment {found.value:.3f} on held-out prompts; {told.value:.3f} along the S-curve of Theorem 1 with the "
        f"exact slope at 0, {bound} {guaranteed:.3f} by the worst pair of replies.",
        predicted=told,
        measured=found,
        assumptions=(
            Assumption(
                statement=MARGIN,
                status="holds" if worst.min() > 0 else "fails",
                how=f"worst gap {worst.min():.3g}, mean gap {gaps.mean():.3g} per unit strength",
            ),
        ),
        supporting=True,
    )


def loss_at(
    measured: StrengthMeasurements, budget: Budget, strength: float, resamples: int, generator: np.random.Generator
) -> Estimate:
    """Relative loss at a measured strength, with a paired bootstrap over items."""
    rows = measured.items_at([0.0, strength])
    drawn = resampled(rows.shape[1], resamples, generator) @ rows.T - budget.floor
    return percentile(
        relative_loss(measured, budget, strength),
        1 - drawn[:, 1] / drawn[:, 0],
        method="paired bootstrap over items",
        n=rows.shape[1],
    )


def apart(one: Estimate, other: Estimate) -> bool:
    """Whether two intervals have nothing in common."""
    ends = (one.low, one.high, other.low, other.high)
    low, high, other_low, other_high = (float("nan") if end is None else end for end in ends)
    return high < other_low or other_high < low
