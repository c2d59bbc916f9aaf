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
from seqtant.steering.analysis.assumptions import LINEAR, MARGIN, NOISE, assumption
from seqtant.steering.analysis.caveats import warn_of
from seqtant.steering.analysis.fits import LossOrder, fit_alignment, fit_bell, loss_orders
from seqtant.steering.applying.generation import Reply, replies
from seqtant.steering.config import SweepConfig
from seqtant.steering.data.scorers import SCORERS, Scorer, hard_alignment
from seqtant.steering.inputs import open_bench
from seqtant.steering.sweeping.bench import Bench
from seqtant.steering.sweeping.gradients import alignment_slopes
from seqtant.steering.sweeping.scores import Readings
from seqtant.steering.sweeping.strength_range import hidden_norm, usable_range

QUADRATIC = (1.8, 2.3)
"""Order of the loss that still counts as quadratic."""
SMALL = (0.025, 0.05, 0.1)
"""Strengths, in hidden norms, that count as small: a push that a block's own output outweighs ten times."""
USABLE = 0.05
"""Relative loss up to which a strength counts as usable: the S-curve is fitted there."""


@dataclass(frozen=True)
class _Swept:
    read: Readings
    strengths: list[float]
    items: np.ndarray
    """Helpfulness by the chosen score, (strengths, items)."""
    norm: float
    """Mean hidden norm of the steered blocks."""
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
        record.value("hidden_norm", swept.norm)
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
    norm = hidden_norm(bench)
    reach = max(map(abs, strengths))
    small = [share * norm for share in SMALL if share * norm <= reach]
    finer = sorted({*strengths, *small, *(-strength for strength in small)})
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
            [item.prompt for item in bench.behavior[: config.coherence_prompts]],
            strengths,
            tokens=config.reply_tokens,
            positions=config.positions,
            tokens_per_batch=config.tokens_per_batch,
            progress=context.progress,
        )
    return _Swept(read, finer, items, norm, slope, orders, said)


def _record_alignment(record: Recorder, swept: _Swept) -> None:
    alignment = swept.read.behavior.alignment
    zero = swept.strengths.index(0.0)
    start = mean(alignment[zero])
    record.value("alignment_at_zero", start.value)
    record.value("alignment_low", float(alignment.mean(axis=1).min()))
    record.value("alignment_high", float(alignment.mean(axis=1).max()))
    means = alignment.mean(axis=1)
    window = _usable(swept)
    places = np.array(swept.strengths)
    fit = _fitted(lambda: fit_alignment(places[window].tolist(), means[window]))
    whole = _fitted(lambda: fit_alignment(swept.strengths, means))
    record.value("tanh_r2", fit.r_squared if fit else None)
    record.value("tanh_r2_whole_range", whole.r_squared if whole else None)
    record.value("tanh_range", float(places[window].max()))
    record.value("tanh_slope", float(fit.parameters[0]) if fit else None)
    record.value("tanh_offset", float(fit.parameters[1]) if fit else None)
    _record_slope(record, swept, means)
    good = fit is not None and fit.r_squared is not None and fit.r_squared >= 0.99
    moved = float(np.ptp(means[window]))
    record.finding(
        "alignment",
        "Does alignment follow the S-curve of Theorem 1?",
        "inconclusive" if fit is None or moved < 0.02 else ("agrees" if good else "disagrees"),
        f"Up to strength {places[window].max():.3g}, where at most {100 * USABLE:g} % of helpfulness are lost, B runs "
        f"from {means[window].min():.3f} to {means[window].max():.3f} ({start.value:.3f} without steering); tanh fits "
        f"with R2 {_r_squared(fit):.4f}; over the whole range with {_r_squared(whole):.4f}.",
        predicted=Estimate(value=1.0, method="R2 of a perfect fit") if fit else None,
        measured=Estimate(value=fit.r_squared, method="least squares", n=int(window.sum()))
        if fit and fit.r_squared is not None
        else None,
        assumptions=(assumption(LINEAR), assumption(MARGIN)),
        advice="" if good else "Look at the coherence: where replies fall apart, the S-curve turns back.",
    )


def _usable(swept: _Swept) -> np.ndarray:
    """Which strengths lie where helpfulness, averaged over both directions, loses at most what counts as usable."""
    places = np.abs(np.array(swept.strengths))
    means = swept.items.mean(axis=1)
    base = means[swept.strengths.index(0.0)]
    lost = {r: 1 - float(means[np.isclose(places, r)].mean()) / base for r in places}
    limit = min((r for r in places if lost[r] > USABLE), default=np.inf)
    inside = places < limit
    # A curve of two parameters through fewer points says nothing.
    return inside if inside.sum() >= 5 else np.ones_like(inside)


def _r_squared(fit: Fit | None) -> float:
    return float("nan") if fit is None or fit.r_squared is None else fit.r_squared


def _record_slope(record: Recorder, swept: _Swept, means: np.ndarray) -> None:
    """The exact slope at 0 beside the central difference of the smallest strengths."""
    if swept.slope is None:
        return
    nearest = min(value for value in swept.strengths if value > 0)
    low, high = (means[swept.strengths.index(value)] for value in (-nearest, nearest))
    record.value("slope", swept.slope.value)
    record.value("slope_central_difference", float((high - low) / (2 * nearest)))


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
    small = [order for order in swept.orders if order.strength <= max(SMALL) * swept.norm * (1 + 1e-6)]
    chosen = max(small, key=lambda order: order.strength, default=None)
    last = max(swept.orders, key=lambda order: order.strength, default=None)
    record.value("loss_ratio_log2", chosen.order.value if chosen else None)
    record.value("loss_ratio_strength", chosen.strength if chosen else None)
    record.value("loss_ratio_log2_at_the_end", last.order.value if last else None)
    if chosen is None or last is None:
        record.finding(
            "order",
            "Is the loss of helpfulness quadratic in the strength?",
            "inconclusive",
            "At small strengths steering costs nothing on average over both directions.",
            advice="Give more items, or steer other blocks.",
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
        f"2^{order.value:.2f}, and of 2^{last.order.value:.2f} from {last.strength / 2:.3g} to {last.strength:.3g}; a "
        "quadratic law gives 2^2.",
        predicted=Estimate.exact(2.0),
        measured=order,
        assumptions=(assumption(NOISE),),
    )


def _record_coherence(record: Recorder, swept: _Swept) -> None:
    for reply in swept.said:
        record.measure("coherence", reply.log_prob, unit="nats per token", step=reply.strength)
        record.measure("distinct", reply.distinct, unit="share", step=reply.strength)


def _record_hard(record: Recorder, bench: Bench, swept: _Swept, scorer: Scorer) -> None:
    rows = []
    for strength in sorted({reply.strength for reply in swept.said}):
        own = [reply for reply in swept.said if reply.strength == strength]
        found = hard_alignment([scorer(bench.behavior[reply.prompt], reply.text) for reply in own])
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
        for key, values in (("alignment", read.behavior.alignment), ("helpfulness", swept.items)):
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
                round(float(read.behavior.alignment[number].mean()), 4),
                round(float(read.behavior.mass[number].mean()), 4),
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
