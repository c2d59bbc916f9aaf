"""Measures both sides over a range of strengths: the S of alignment and the bell of helpfulness, with their fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.fits import Fit
from seqtant.stats.intervals import mean
from seqtant.steering.assumptions import LINEAR, MARGIN, NOISE, assumption
from seqtant.steering.cautions import warn_of
from seqtant.steering.coherence import Reply, replies
from seqtant.steering.config import SweepConfig
from seqtant.steering.fits import LossOrder, fit_alignment, fit_bell, loss_orders
from seqtant.steering.grounds import open_bench
from seqtant.steering.measuring import Bench
from seqtant.steering.readings import Readings
from seqtant.steering.scale import hidden_norm, usable_range
from seqtant.steering.scorers import SCORERS, Scorer, hard_alignment
from seqtant.steering.slopes import alignment_slopes

QUADRATIC = (1.8, 2.3)
"""Order of the loss that still counts as quadratic."""
SMALL_LOSS = 0.03
"""Relative loss up to which a strength counts as small."""


@dataclass(frozen=True)
class _Swept:
    read: Readings
    strengths: list[float]
    items: np.ndarray
    """Helpfulness by the chosen score, (strengths, items)."""
    slope: Estimate | None
    """Exact slope of alignment at 0."""
    orders: list[LossOrder]
    said: list[Reply]


def run(config: SweepConfig, context: Context) -> Result:
    """Sweeps the strength.

    Raises:
        InputError: Something cannot be read, or nothing is left of helpfulness without steering.
    """
    with Recorder("steering.sweep", f"Trade-off of steering {config.model}", config, context, papers=(1,)) as record:
        scorer = SCORERS[config.scorer] if config.scorer else None
        bench = open_bench(config, context)
        strengths = _strengths(config, bench)
        warn_of(record, bench, strengths)
        swept = _measure(config, context, bench, strengths)
        record.value("hidden_norm", hidden_norm(bench))
        record.value("largest_strength", max(strengths))
        _record_alignment(record, swept)
        _record_helpfulness(record, config, swept)
        _record_coherence(record, swept)
        if scorer is not None:
            _record_hard(record, bench, swept, scorer)
        _tabulate(record, swept)
    return record.result


def _strengths(config: SweepConfig, bench: Bench) -> list[float]:
    if config.strengths is not None:
        return sorted(set(config.strengths))
    reach = usable_range(bench, config.loss, lambda read: getattr(read, config.score))
    half = (config.points - 1) // 2
    return [reach * step / half for step in range(-half, half + 1)]


def _measure(config: SweepConfig, context: Context, bench: Bench, strengths: list[float]) -> _Swept:
    # Quarters of a step below the grid: the law of small strengths is read off where the loss is still small.
    step = min(value for value in strengths if value > 0) if any(value > 0 for value in strengths) else 0.0
    finer = sorted({*strengths, *(sign * step / part for sign in (-1, 1) for part in (2, 4) if step)})
    read = bench(finer)
    items = getattr(read.helpfulness, config.score)
    slope = None
    if config.positions == "all":
        slope = mean(alignment_slopes(bench).sum(axis=1), unit="per unit strength")
    orders = loss_orders(finer, items, resamples=1000, generator=np.random.default_rng([context.seed, 20]))
    said: list[Reply] = []
    if config.coherence_prompts:
        said = replies(
            bench.model,
            bench.vector,
            [item.prompt for item in bench.behaviour[: config.coherence_prompts]],
            strengths,
            tokens=config.reply_tokens,
            positions=config.positions,
            tokens_per_batch=config.tokens_per_batch,
            progress=context.progress,
        )
    return _Swept(read, finer, items, slope, orders, said)


def _record_alignment(record: Recorder, swept: _Swept) -> None:
    alignment = swept.read.behaviour.alignment
    zero = swept.strengths.index(0.0)
    start = mean(alignment[zero])
    record.value("alignment_at_zero", start.value)
    record.value("alignment_low", float(alignment.mean(axis=1).min()))
    record.value("alignment_high", float(alignment.mean(axis=1).max()))
    fit = _fitted(lambda: fit_alignment(swept.strengths, alignment.mean(axis=1)))
    record.value("tanh_r2", fit.r_squared if fit else None)
    record.value("tanh_slope", float(fit.parameters[0]) if fit else None)
    record.value("tanh_offset", float(fit.parameters[1]) if fit else None)
    if swept.slope is not None:
        record.value("slope", swept.slope.value)
    good = fit is not None and fit.r_squared is not None and fit.r_squared >= 0.99
    moved = float(np.ptp(alignment.mean(axis=1)))
    record.finding(
        "alignment",
        "Does alignment follow the S-curve of Theorem 1?",
        "inconclusive" if fit is None or moved < 0.02 else ("agrees" if good else "disagrees"),
        f"B runs from {alignment.mean(axis=1).min():.3f} to {alignment.mean(axis=1).max():.3f}, {start.value:.3f} "
        f"without steering; tanh fits with R2 {fit.r_squared if fit and fit.r_squared is not None else 0:.4f}.",
        predicted=Estimate(value=1.0, method="R2 of a perfect fit") if fit else None,
        measured=Estimate(value=fit.r_squared, method="least squares", n=len(swept.strengths))
        if fit and fit.r_squared is not None
        else None,
        assumptions=(assumption(LINEAR), assumption(MARGIN)),
        advice="" if good else "Look at the coherence: where replies fall apart, the S-curve turns back.",
    )


def _record_helpfulness(record: Recorder, config: SweepConfig, swept: _Swept) -> None:
    items, zero = swept.items, swept.strengths.index(0.0)
    base = mean(items[zero])
    record.value("helpfulness_at_zero", base.value)
    record.value("accuracy_at_zero", float(swept.read.helpfulness.right[zero].mean()))
    record.value("format_rate_at_zero", float(swept.read.helpfulness.format_rate[zero].mean()))
    floor = swept.read.helpfulness.chance if config.score == "restricted" else 0.0
    bell = _fitted(lambda: fit_bell(swept.strengths, items.mean(axis=1), floor))
    record.value("bell_r2", bell.r_squared if bell else None)
    record.value("bell_width", float(bell.parameters[0]) if bell else None)
    record.value("bell_height", float(bell.parameters[1]) if bell else None)
    chosen = _small(swept, base.value)
    record.value("loss_ratio_log2", chosen.order.value if chosen else None)
    record.value("loss_ratio_strength", chosen.strength if chosen else None)
    if chosen is None:
        record.finding(
            "order",
            "Is the loss of helpfulness quadratic in the strength?",
            "inconclusive",
            "No loss that is the same sign at a strength and at its half was measured.",
            advice="Give more items, or strengths with pairs r and 2r.",
        )
        return
    low, high = QUADRATIC
    order = chosen.order
    within = low <= order.value <= high
    wide = order.low is None or order.high is None or order.high - order.low > 1.0
    record.finding(
        "order",
        "Is the loss of helpfulness quadratic in the strength?",
        "agrees" if within and not wide else ("inconclusive" if wide else "disagrees"),
        f"From strength {chosen.strength / 2:.3g} to {chosen.strength:.3g} the symmetric loss grows by a factor of "
        f"2^{order.value:.2f}; a quadratic law gives 2^2.",
        predicted=Estimate.exact(2.0),
        measured=order,
        assumptions=(assumption(NOISE),),
    )


def _small(swept: _Swept, base: float) -> LossOrder | None:
    """The order at the largest strength whose loss is small, among those with an interval if there are any."""
    index = {round(value, 9): number for number, value in enumerate(swept.strengths)}
    means = swept.items.mean(axis=1)

    def lost(order: LossOrder) -> float:
        sides = (means[index[round(sign * order.strength, 9)]] for sign in (-1, 1))
        return 1 - sum(sides) / 2 / base

    small = [order for order in swept.orders if lost(order) <= SMALL_LOSS and order.order.low is not None]
    known = small or [order for order in swept.orders if order.order.low is not None] or swept.orders
    if not known:
        return None
    return max(known, key=lambda order: order.strength) if small else min(known, key=lambda order: order.strength)


def _record_coherence(record: Recorder, swept: _Swept) -> None:
    for reply in swept.said:
        record.measure("coherence", reply.log_prob, unit="nats per token", step=reply.strength)
        record.measure("distinct", reply.distinct, unit="share", step=reply.strength)


def _record_hard(record: Recorder, bench: Bench, swept: _Swept, scorer: Scorer) -> None:
    rows = []
    for strength in sorted({reply.strength for reply in swept.said}):
        own = [reply for reply in swept.said if reply.strength == strength]
        found = hard_alignment([scorer(bench.behaviour[reply.prompt], reply.text) for reply in own])
        rows.append((strength, found.value, found.low, found.high, len(own)))
        record.measure("hard_alignment", found.value, step=strength)
    record.table(
        "hard_scores",
        "Scores of generated replies",
        ("strength", "score", "low", "high", "replies"),
        rows,
        note="Saturated scores are kept away from +-1 by half a reply; no slope can be read off them.",
    )


def _tabulate(record: Recorder, swept: _Swept) -> None:
    read = swept.read
    for number, strength in enumerate(swept.strengths):
        for key, values in (("alignment", read.behaviour.alignment), ("helpfulness", swept.items)):
            found = mean(values[number])
            record.measure(key, found.value, step=strength)
            for end, value in (("low", found.low), ("high", found.high)):
                if value is not None:
                    record.measure(f"{key}_{end}", value, step=strength)
    spoken = {reply.strength for reply in swept.said}
    rows = []
    for number, strength in enumerate(swept.strengths):
        own = [reply for reply in swept.said if reply.strength == strength]
        rows.append(
            (
                round(strength, 4),
                round(float(read.behaviour.alignment[number].mean()), 4),
                round(float(read.behaviour.mass[number].mean()), 4),
                round(float(swept.items[number].mean()), 4),
                round(float(read.helpfulness.full[number].mean()), 4),
                round(float(read.helpfulness.format_rate[number].mean()), 4),
                round(float(np.mean([reply.log_prob for reply in own])), 3) if strength in spoken else None,
            )
        )
    record.table(
        "tradeoff",
        "Both sides at every strength",
        ("strength", "alignment", "mass", "helpfulness", "full score", "format rate", "coherence"),
        rows,
        note="Alignment is (good - bad) / (good + bad) of the probabilities of replies, mass their sum; full score is "
        "the right answer among all tokens, format rate any answer; coherence is the log-probability per token of "
        "generated replies under the model without steering.",
    )


def _fitted(fit: Callable[[], Fit]) -> Fit | None:
    """A fit, or None where it does not converge: the record then says inconclusive."""
    try:
        return fit()
    except InputError:
        return None
