"""Chooses the strength under a helpfulness budget: predicted from small strengths, verified on held-out items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Estimate, Result, Verdict
from seqtant.lm.folder import name_of
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.bootstrap import percentile
from seqtant.stats.intervals import mean
from seqtant.steering.analysis.assumptions import LINEAR, MARGIN, NOISE, assumption
from seqtant.steering.analysis.caveats import warn_of
from seqtant.steering.analysis.fits import resampled
from seqtant.steering.analysis.strength_search import Budget, Choice, Observed, choose, operating_point
from seqtant.steering.config import ChooseConfig
from seqtant.steering.inputs import open_bench
from seqtant.steering.sweeping.bench import Bench
from seqtant.steering.sweeping.gradients import alignment_slopes
from seqtant.steering.sweeping.scores import Readings
from seqtant.steering.sweeping.strength_range import first_strength, hidden_norm
from seqtant.steering.theory import alignment_guarantee

CLOSE = 0.10
"""Largest relative distance between chosen and measured strength that counts as agreement."""


@dataclass(frozen=True)
class _Alignment:
    """What alignment is expected to be, from the fitting prompts, and what the theory guarantees."""

    predicted: Estimate
    guaranteed: float
    worst_margin: float
    mean_gap: float
    slope: float
    exact_slope: float | None


def run(config: ChooseConfig, context: Context) -> Result:
    """Chooses and verifies.

    Raises:
        InputError: Something cannot be read, or there is no helpfulness to lose.
    """
    title = f"Strength for a budget of {100 * config.budget:g} % on {name_of(config.model)}"
    with Recorder("steering.choose", title, config, context, papers=(1,)) as record:
        bench = open_bench(config, context)
        fitting, fresh = halves(bench, context.seed)
        observed = Observed(fitting, lambda read: getattr(read.helpfulness, config.score))
        budget = _budget(config, fitting, observed)
        generator = np.random.default_rng([context.seed, 30])
        start = min(first_strength(bench), budget.cap)
        choice = choose(observed, budget, start, resamples=config.resamples, generator=generator)
        warn_of(record, bench, [choice.probe])
        alignment = _expected_alignment(config, fitting, choice, generator)
        held = Observed(fresh, lambda read: getattr(read.helpfulness, config.score))
        held.add([choice.strength.value])
        point = None
        if choice.limited:
            point = operating_point(
                held, budget, choice.strength.value, resamples=config.resamples, generator=generator
            )
        _record(record, config, choice, alignment, held, point, budget, generator)
        _tabulate(record, choice, held)
        record.value("strength_in_hidden_norms", choice.strength.value / hidden_norm(bench))
    return record.result


def halves(bench: Bench, seed: int) -> tuple[Bench, Bench]:
    """Two benches of the same model and vector without a common prompt or item: one to fit on, one to verify on.

    Raises:
        InputError: There are fewer than four prompts or items.
    """
    if min(len(bench.behavior), len(bench.helpfulness)) < 4:
        raise InputError("choosing needs at least four prompts and four items: half of them verify the choice")
    generator = np.random.default_rng([seed, 31])
    prompts, items = (generator.permutation(len(part)) for part in (bench.behavior, bench.helpfulness))
    first, second = (
        bench.part(prompts[side::2].tolist(), items[side::2].tolist())  # every second of a random order
        for side in (0, 1)
    )
    return first, second


def _budget(config: ChooseConfig, fitting: Bench, observed: Observed) -> Budget:
    read = observed.add([])
    base = observed.mean(0.0)
    chance = read.helpfulness.chance if config.score == "restricted" else 0.0
    share = config.budget / base if config.budget_kind == "absolute" else config.budget
    if not share < 1:
        raise InputError(f"an absolute budget of {config.budget:g} is all the helpfulness there is ({base:.3g})")
    return Budget(
        share=share,
        floor=chance if config.budget_kind == "above-chance" else 0.0,
        side=config.side,
        cap=config.cap * hidden_norm(fitting),
    )


def _expected_alignment(
    config: ChooseConfig, fitting: Bench, choice: Choice, generator: np.random.Generator
) -> _Alignment:
    observed, strength = choice.observed, choice.strength.value
    table = observed.table(lambda read: read.behavior.alignment)
    places = np.asarray(observed.strengths)
    n = table.shape[1]
    near = np.abs(places) <= max(abs(strength), choice.probe) * (1 + 1e-9)
    predicted = _tanh_at(places[near], table[near].mean(axis=1), n, strength)
    drawn = resampled(n, config.resamples, generator) @ table[near].T
    spread = [_tanh_at(places[near], row, n, strength) for row in drawn]
    worst, gaps = _margins(observed.readings, config.side * choice.probe)
    start = table[observed.strengths.index(0.0)]
    exact = float(alignment_slopes(fitting).sum(axis=1).mean()) if config.positions == "all" else None
    level = float(start.mean())
    slope = _log_odds_line(places[near], table[near].mean(axis=1), n)[0] * (1 - level**2)
    return _Alignment(
        predicted=percentile(predicted, spread, method="paired bootstrap over prompts", n=n),
        guaranteed=float(alignment_guarantee(abs(strength), config.side * worst, config.side * start).mean())
        * config.side,
        worst_margin=float(worst.min()) if config.side > 0 else float(worst.max()),
        mean_gap=float(gaps.mean()),
        slope=slope,
        exact_slope=exact,
    )


def _inside(alignment: np.ndarray, n: int) -> np.ndarray:
    edge = 1 - 1 / (2 * max(n, 2)) ** 2
    return np.clip(alignment, -edge, edge)


def _tanh_at(places: np.ndarray, alignment: np.ndarray, n: int, strength: float) -> float:
    """Tanh of the straight line through arctanh B, at a strength."""
    slope, offset = _log_odds_line(places, alignment, n)
    return float(np.tanh(offset + slope * strength))


def _log_odds_line(places: np.ndarray, alignment: np.ndarray, n: int) -> tuple[float, float]:
    """Slope and offset of the straight line through arctanh B."""
    span = float(np.abs(places).max())
    slope, offset = np.polyfit(places / span, np.arctanh(_inside(alignment, n)), 1)
    return float(slope) / span, float(offset)


def _margins(readings: list[Readings], probe: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairwise gaps of every prompt at the probe strength, per unit strength."""
    for read in readings:
        if probe in read.strengths and 0.0 in read.strengths:
            return read.behavior.pair_gaps(probe)
    zero = next(read for read in readings if 0.0 in read.strengths)
    there = next(read for read in readings if probe in read.strengths)
    return _joined(zero, there, probe).behavior.pair_gaps(probe)


def _joined(zero: Readings, there: Readings, probe: float) -> Readings:
    """A reading of strengths 0 and probe from two readings of the same prompts."""
    rows = (zero.strengths.index(0.0), there.strengths.index(probe))
    sides = [
        [np.stack([a[rows[0]], b[rows[1]]]) for a, b in zip(first, second, strict=True)]
        for first, second in (
            (zero.behavior.good, there.behavior.good),
            (zero.behavior.bad, there.behavior.bad),
        )
    ]
    behavior = type(zero.behavior)((0.0, probe), *sides)
    return Readings((0.0, probe), behavior, zero.helpfulness)


def _record(
    record: Recorder,
    config: ChooseConfig,
    choice: Choice,
    alignment: _Alignment,
    held: Observed,
    point: Estimate | None,
    budget: Budget,
    generator: np.random.Generator,
) -> None:
    strength = choice.strength
    lost = _measured_loss(held, budget, strength.value, config.resamples, generator)
    fresh = mean(held.table(lambda read: read.behavior.alignment)[held.strengths.index(strength.value)])
    start = float(held.table(lambda read: read.behavior.alignment)[held.strengths.index(0.0)].mean())
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
        "predicted_alignment": alignment.predicted.value,
        "measured_alignment": fresh.value,
        "guaranteed_alignment": alignment.guaranteed,
        "linear": choice.linear.value,
        "quadratic": choice.quadratic.value,
        "first_strength": choice.first if np.isfinite(choice.first) else None,
        "pure_quadratic_strength": choice.pure_quadratic if np.isfinite(choice.pure_quadratic) else None,
        "worst_margin": alignment.worst_margin,
        "mean_gap": alignment.mean_gap,
        "slope": alignment.exact_slope,
        "items": len(held.items[0]),
        "items_needed": choice.items_needed,
    }.items():
        record.value(name, number)
    record.items("helpfulness_unsteered", held.items[held.strengths.index(0.0)], kind="held-out item")
    record.finding(
        "strength",
        f"How hard may I steer before {100 * config.budget:g} % of helpfulness is lost?",
        _verdict(choice, point),
        _sentence(choice, lost, point),
        predicted=strength if choice.limited else None,
        measured=point,
        assumptions=(
            assumption(
                "The loss is linear plus quadratic up to twice the largest measured strength",
                "fails" if choice.bracketed else "holds",
                f"fitted up to {max(abs(v) for v in choice.observed.strengths):.3g}, widened {choice.rounds} times",
            ),
            assumption(NOISE),
        ),
        advice=f"Steer with strength {strength.value:.4g}." if choice.limited else "The budget is no limit here.",
    )
    _record_alignment(record, alignment, fresh, start, choice)
    _caution(record, config, choice, alignment, held)


def _measured_loss(
    held: Observed, budget: Budget, strength: float, resamples: int, generator: np.random.Generator
) -> Estimate:
    rows = held.items[[held.strengths.index(0.0), held.strengths.index(strength)]]
    base, after = rows.mean(axis=1) - budget.floor
    drawn = resampled(rows.shape[1], resamples, generator) @ rows.T - budget.floor
    return percentile(
        float(1 - after / base), 1 - drawn[:, 1] / drawn[:, 0], method="paired bootstrap over items", n=rows.shape[1]
    )


def _verdict(choice: Choice, point: Estimate | None) -> Verdict:
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


def _sentence(choice: Choice, lost: Estimate, point: Estimate | None) -> str:
    if not choice.limited:
        return (
            f"Up to the cap of {abs(choice.strength.value):.4g} the budget is never spent; held-out items lose "
            f"{100 * lost.value:.2f} % there."
        )
    there = f"; they lose the budget at {point.value:.4g}" if point else ""
    return (
        f"Strength {choice.strength.value:.4g}; held-out items lose {100 * lost.value:.2f} % there, "
        f"{100 * choice.predicted_loss:.2f} % were predicted{there}."
    )


def _record_alignment(record: Recorder, alignment: _Alignment, fresh: Estimate, start: float, choice: Choice) -> None:
    low, high = alignment.predicted.low, alignment.predicted.high
    apart = fresh.low is not None and low is not None and (fresh.low > (high or 1) or (fresh.high or 1) < low)
    record.finding(
        "alignment",
        "What does that strength gain?",
        "disagrees" if apart else "agrees",
        f"Alignment {start:.3f} without steering, {fresh.value:.3f} with it on held-out prompts; predicted "
        f"{alignment.predicted.value:.3f}, guaranteed {alignment.guaranteed:.3f}.",
        predicted=alignment.predicted,
        measured=fresh,
        assumptions=(
            assumption(LINEAR),
            assumption(
                MARGIN,
                "holds" if alignment.worst_margin * choice.strength.value > 0 else "fails",
                f"worst gap {alignment.worst_margin:.3g}, mean gap {alignment.mean_gap:.3g} per unit strength",
            ),
        ),
    )


def _caution(record: Recorder, config: ChooseConfig, choice: Choice, alignment: _Alignment, held: Observed) -> None:
    count = held.items.shape[1]
    if choice.items_needed > count:
        record.warn(
            f"{count} held-out items are few: {choice.items_needed} would tell the loss from the budget; give more"
        )
    exact, slope = alignment.exact_slope, alignment.slope
    if exact is not None and abs(exact) > 1e-4 and abs(slope / exact - 1) > 0.2:
        record.warn(
            f"the slope of alignment over the measured strengths ({slope:.3g}) is not the exact one at 0 "
            f"({exact:.3g}): the probe strengths are beyond the range of the linear law"
        )
    if config.positions != "all":
        record.warn("no exact slope: it is made for steering at all positions only")


def _tabulate(record: Recorder, choice: Choice, held: Observed) -> None:
    for name, title, observed in (
        ("fitting", "What the law was fitted on", choice.observed),
        ("held_out", "What verified it: other prompts and items", held),
    ):
        alignment = observed.table(lambda read: read.behavior.alignment.mean(axis=1))
        items = observed.items.mean(axis=1)
        base = items[observed.strengths.index(0.0)]
        record.table(
            name,
            title,
            ("strength", "helpfulness", "loss", "alignment"),
            [
                (round(value, 5), round(float(p), 5), round(float(1 - p / base), 5), round(float(b), 4))
                for value, p, b in zip(observed.strengths, items, alignment, strict=True)
            ],
        )
        for value, p, b in zip(observed.strengths, items, alignment, strict=True):
            record.measure(f"{name}_helpfulness", float(p), step=value)
            record.measure(f"{name}_alignment", float(b), step=value)
