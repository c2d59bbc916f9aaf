"""Chooses the strength under a helpfulness budget: predicted from small strengths, verified on held-out items."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Assumption, Estimate, Result, Verdict
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import name_of
from seqtant.stats.intervals import mean, percentile
from seqtant.steering.analysis.strength_search import Budget, Choice, StrengthMeasurements, choose, operating_point
from seqtant.steering.config import ChooseConfig
from seqtant.steering.inputs import open_bench, record_warnings
from seqtant.steering.sweeping.bench import FIRST_STRENGTH, BehaviorScores, Bench, alignment_gradients
from seqtant.steering.theory import LINEAR, MARGIN, NOISE, UNCHECKED, alignment_guarantee, resampled

CLOSE = 0.10
"""Largest relative distance between chosen and measured strength that counts as agreement."""


@dataclass(frozen=True)
class _ExpectedAlignment:
    """Alignment at the chosen strength as predicted from the fitting prompts, and as the theory guarantees it."""

    predicted: Estimate
    guaranteed: float
    worst_margin: float
    mean_gap: float
    slope: float
    """Slope at 0 of the curve through the measured strengths."""
    exact_slope: float | None
    """Exact slope at 0; None where only some positions are steered."""


@verb(ChooseConfig)
def choose_strength(config: ChooseConfig, context: Context) -> Result:
    """Chooses the strength that loses a share of helpfulness, on one half of the items, and verifies it on the other.

    Near 0 helpfulness follows log(P(r) / P(0)) = L r + Q r^2. The law is fitted at small strengths and solved for the
    budget; the root is measured, and where the loss there is not the budget the range is widened, at last bracketed.
    Alignment is predicted along tanh, and guaranteed by Theorem 1 with the worst margin.

    Returns:
        The strength with its interval, the loss predicted and measured, the strength at which held-out items really
        lose the budget, and alignment before, predicted, measured and guaranteed. It agrees where chosen and measured
        strength are within 10 %.

    Raises:
        InputError: Something cannot be read, or there is no helpfulness to lose.

    Example:
        >>> found = choose_strength("reference", budget=0.05, prompts=8, items=24, max_pairs=16, resamples=100)
        >>> found.values["strength_low"] <= found.values["strength"] <= found.values["strength_high"]
        True
    """
    title = f"Strength for a budget of {100 * config.budget:g} % on {name_of(config.model)}"
    with Recorder("steering.choose", title, config, context, papers=(1,)) as record:
        bench = open_bench(config, context)
        fitting_bench, held_out_bench = split_in_halves(bench, context.seed)
        fitting, held_out = (
            StrengthMeasurements(half, lambda scores: getattr(scores.helpfulness, config.score))
            for half in (fitting_bench, held_out_bench)
        )
        # The budget is a share of helpfulness without steering above a floor, whatever kind the user gave.
        scores = fitting.add([])
        base = fitting.mean(0.0)
        share = config.budget / base if config.budget_kind == "absolute" else config.budget
        if not share < 1:
            raise InputError(f"an absolute budget of {config.budget:g} is all the helpfulness there is ({base:.3g})")
        above_chance = config.budget_kind == "above-chance" and config.score == "restricted"
        budget = Budget(
            share=share,
            floor=scores.helpfulness.chance if above_chance else 0.0,
            side=config.side,
            cap=config.cap * fitting_bench.hidden_norm,
        )
        generator = np.random.default_rng([context.seed, 30])
        start = min(FIRST_STRENGTH * bench.hidden_norm, budget.cap)
        choice = choose(fitting, budget, start, resamples=config.resamples, generator=generator)
        strength = choice.strength.value
        record_warnings(record, bench, [choice.probe])
        expected = _expected_alignment(config, fitting_bench, choice, generator)
        held_out.add([strength])
        point = None
        if choice.limited:
            point = operating_point(held_out, budget, strength, resamples=config.resamples, generator=generator)
        # Relative loss of the held-out items at the chosen strength, with a paired bootstrap.
        rows = held_out.items_at([0.0, strength])  # [2, items]
        before, after = rows.mean(axis=1) - budget.floor
        drawn = resampled(rows.shape[1], config.resamples, generator) @ rows.T - budget.floor
        n, method = rows.shape[1], "paired bootstrap over items"
        lost = percentile(float(1 - after / before), 1 - drawn[:, 1] / drawn[:, 0], method=method, n=n)
        _record_values_and_findings(record, config.budget, choice, expected, held_out, lost, point)
        if choice.items_needed > n:
            record.warn(
                f"{n} held-out items are few: {choice.items_needed} would tell the loss from the budget; give more"
            )
        exact, slope = expected.exact_slope, expected.slope
        if exact is not None and abs(exact) > 1e-4 and abs(slope / exact - 1) > 0.2:
            record.warn(
                f"the slope of alignment over the measured strengths ({slope:.3g}) is not the exact one at 0 "
                f"({exact:.3g}): the probe strengths are beyond the range of the linear law"
            )
        if config.positions != "all":
            record.warn("no exact slope: it is made for steering at all positions only")
        _record_tables(record, choice.observed, held_out)
        record.value("strength_in_hidden_norms", strength / bench.hidden_norm)
    return record.result


def split_in_halves(bench: Bench, seed: int) -> tuple[Bench, Bench]:
    """Splits the prompts and items of a bench in two halves: one to fit on, one to verify on."""
    if min(len(bench.behavior), len(bench.helpfulness)) < 4:
        raise InputError("choosing needs at least four prompts and four items: half of them verify the choice")
    generator = np.random.default_rng([seed, 31])
    prompts, items = (generator.permutation(len(part)) for part in (bench.behavior, bench.helpfulness))
    first, second = (
        replace(
            bench,
            behavior=[bench.behavior[index] for index in prompts[side::2]],  # every second of a random order
            helpfulness=[bench.helpfulness[index] for index in items[side::2]],
        )
        for side in (0, 1)
    )
    return first, second


def _expected_alignment(
    config: ChooseConfig, fitting: Bench, choice: Choice, generator: np.random.Generator
) -> _ExpectedAlignment:
    """Predicts alignment as tanh of a line through strengths up to the chosen one, with a bootstrap over prompts."""
    measured, strength = choice.observed, choice.strength.value
    table = measured.alignment
    places = np.asarray(measured.strengths)
    n = table.shape[1]
    near = np.abs(places) <= max(abs(strength), choice.probe) * (1 + 1e-9)
    slope, offset = _log_odds_line(places[near], table[near].mean(axis=1), n)
    drawn = []
    for row in resampled(n, config.resamples, generator) @ table[near].T:
        drawn_slope, drawn_offset = _log_odds_line(places[near], row, n)
        drawn.append(float(np.tanh(drawn_offset + drawn_slope * strength)))
    # Gaps between strength 0 and the probe, which may have been measured in different batches.
    probe = config.side * choice.probe
    rows: dict[str, list[list[np.ndarray]]] = {"good": [], "bad": []}  # side -> strength -> prompt
    for value in (0.0, probe):
        scores = next(scores for scores in measured.readings if value in scores.strengths)
        for side, found in rows.items():
            found.append([own[scores.strengths.index(value)] for own in getattr(scores.behavior, side)])
    good, bad = ([np.stack(pair) for pair in zip(*found, strict=True)] for found in rows.values())
    worst, gaps = BehaviorScores((0.0, probe), good, bad).pair_gaps(probe)
    start = table[measured.strengths.index(0.0)]
    exact = float(alignment_gradients(fitting).sum(axis=1).mean()) if config.positions == "all" else None
    guaranteed = float(alignment_guarantee(abs(strength), config.side * worst, config.side * start).mean())
    return _ExpectedAlignment(
        predicted=percentile(
            float(np.tanh(offset + slope * strength)), drawn, method="paired bootstrap over prompts", n=n
        ),
        guaranteed=guaranteed * config.side,
        worst_margin=float(worst.min()) if config.side > 0 else float(worst.max()),
        mean_gap=float(gaps.mean()),
        # d tanh(x) / dr = slope (1 - tanh^2 x)
        slope=slope * (1 - float(start.mean()) ** 2),
        exact_slope=exact,
    )


def _log_odds_line(places: np.ndarray, alignment: np.ndarray, n: int) -> tuple[float, float]:
    """Slope and offset of the straight line through arctanh B."""
    # Kept away from +-1, where arctanh has no value, by less than n prompts can tell.
    edge = 1 - 1 / (2 * max(n, 2)) ** 2
    span = float(np.abs(places).max())
    slope, offset = np.polyfit(places / span, np.arctanh(np.clip(alignment, -edge, edge)), 1)
    return float(slope) / span, float(offset)


def _record_values_and_findings(
    record: Recorder,
    budget: float,
    choice: Choice,
    expected: _ExpectedAlignment,
    held_out: StrengthMeasurements,
    lost: Estimate,
    point: Estimate | None,
) -> None:
    strength = choice.strength
    zero = held_out.strengths.index(0.0)
    start = float(held_out.alignment[zero].mean())
    measured = mean(held_out.alignment[held_out.strengths.index(strength.value)])
    for name, number in {
        "strength": strength.value,
        "strength_low": strength.low,
        "strength_high": strength.high,
        "predicted_loss": choice.predicted_loss,
        "measured_loss": lost.value,
        "measured_loss_low": lost.low,
        "measured_loss_high": lost.high,
        "operating_point": point.value if point else None,
        "alignment_at_zero": start,
        "predicted_alignment": expected.predicted.value,
        "measured_alignment": measured.value,
        "guaranteed_alignment": expected.guaranteed,
        "linear": choice.linear.value,
        "quadratic": choice.quadratic.value,
        "first_strength": choice.first if np.isfinite(choice.first) else None,
        "pure_quadratic_strength": choice.pure_quadratic if np.isfinite(choice.pure_quadratic) else None,
        "worst_margin": expected.worst_margin,
        "mean_gap": expected.mean_gap,
        "slope": expected.exact_slope,
        "items": len(held_out.items[0]),
        "items_needed": choice.items_needed,
    }.items():
        record.value(name, number)
    record.items("helpfulness_unsteered", held_out.items[zero], kind="held-out item")
    if choice.limited:
        there = f"; they lose the budget at {point.value:.4g}" if point else ""
        summary = (
            f"Strength {strength.value:.4g}; held-out items lose {100 * lost.value:.2f} % there, "
            f"{100 * choice.predicted_loss:.2f} % were predicted{there}."
        )
    else:
        summary = (
            f"Up to the cap of {abs(strength.value):.4g} the budget is never spent; held-out items lose "
            f"{100 * lost.value:.2f} % there."
        )
    record.finding(
        "strength",
        f"How hard may I steer before {100 * budget:g} % of helpfulness is lost?",
        _verdict(choice, point),
        summary,
        predicted=strength if choice.limited else None,
        measured=point,
        assumptions=(
            Assumption(
                statement="The loss is linear plus quadratic up to twice the largest measured strength",
                status="fails" if choice.bracketed else "holds",
                how=f"fitted up to {max(abs(v) for v in choice.observed.strengths):.3g}, widened {choice.rounds} times",
            ),
            Assumption(statement=NOISE, how=UNCHECKED),
        ),
        advice=f"Steer with strength {strength.value:.4g}." if choice.limited else "The budget is no limit here.",
    )
    low, high = expected.predicted.low, expected.predicted.high
    apart = measured.low is not None and low is not None and (measured.low > (high or 1) or (measured.high or 1) < low)
    record.finding(
        "alignment",
        "What does that strength gain?",
        "disagrees" if apart else "agrees",
        f"Alignment {start:.3f} without steering, {measured.value:.3f} with it on held-out prompts; predicted "
        f"{expected.predicted.value:.3f}, guaranteed {expected.guaranteed:.3f}.",
        predicted=expected.predicted,
        measured=measured,
        assumptions=(
            Assumption(statement=LINEAR, how=UNCHECKED),
            Assumption(
                statement=MARGIN,
                status="holds" if expected.worst_margin * strength.value > 0 else "fails",
                how=f"worst gap {expected.worst_margin:.3g}, mean gap {expected.mean_gap:.3g} per unit strength",
            ),
        ),
    )


def _verdict(choice: Choice, point: Estimate | None) -> Verdict:
    """Agreement within 10 %, else whether the intervals of the chosen and the measured strength overlap."""
    if not choice.limited:
        return "vacuous"
    if point is None:
        return "inconclusive"
    strength = choice.strength
    if abs(strength.value / point.value - 1) <= CLOSE:
        return "agrees"
    ends = (strength.low, strength.high, point.low, point.high)
    low, high, other_low, other_high = (float(end) for end in ends if end is not None)
    return "inconclusive" if low <= other_high and other_low <= high else "disagrees"


def _record_tables(record: Recorder, fitting: StrengthMeasurements, held_out: StrengthMeasurements) -> None:
    for name, title, measured in (
        ("fitting", "What the law was fitted on", fitting),
        ("held_out", "What verified it: other prompts and items", held_out),
    ):
        alignment = measured.table(lambda scores: scores.behavior.alignment.mean(axis=1))
        helpfulness = measured.items.mean(axis=1)
        base = helpfulness[measured.strengths.index(0.0)]
        rows = list(zip(measured.strengths, helpfulness, alignment, strict=True))
        record.table(
            name,
            title,
            ("strength", "helpfulness", "loss", "alignment"),
            [(round(r, 5), round(float(p), 5), round(float(1 - p / base), 5), round(float(b), 4)) for r, p, b in rows],
        )
        for r, p, b in rows:
            record.measure(f"{name}_helpfulness", float(p), step=r)
            record.measure(f"{name}_alignment", float(b), step=r)
