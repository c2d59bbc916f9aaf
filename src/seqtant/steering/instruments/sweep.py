"""Measures both sides over a range of strengths: the S of alignment and the bell of helpfulness, with their fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Assumption, Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.fits import Fit
from seqtant.stats.intervals import mean
from seqtant.steering.applying.generation import SCORERS, Reply, Scorer, generate_replies, hard_alignment
from seqtant.steering.config import SweepConfig
from seqtant.steering.inputs import open_bench, record_warnings, title_of
from seqtant.steering.sweeping.bench import BenchScores, alignment_gradients, usable_range
from seqtant.steering.theory import LINEAR, MARGIN, NOISE, UNCHECKED, fit_alignment, fit_bell, loss_orders

QUADRATIC = (1.8, 2.3)
"""Order of the loss that still counts as quadratic."""
SMALL = (0.025, 0.05, 0.1)
"""Strengths, in hidden norms, that count as small: a shift that a block's own output outweighs ten times."""
USABLE = 0.05
"""Relative loss up to which a strength counts as usable: the S-curve is fitted there."""


@dataclass(frozen=True)
class _Swept:
    scores: BenchScores
    strengths: list[float]
    items: np.ndarray
    """Helpfulness by the chosen score, (strengths, items)."""
    norm: float
    """Mean hidden norm of the steered blocks."""
    slope: Estimate | None
    """Exact slope of alignment at 0."""
    orders: dict[float, Estimate]
    """Strength -> order of the loss from its half to it."""
    replies: list[Reply]


@verb(SweepConfig)
def sweep(config: SweepConfig, context: Context) -> Result:
    """Measures alignment and helpfulness over a range of strengths and fits the S-curve and the bell of the theory.

    Alignment is B = (P(good) - P(bad)) / (P(good) + P(bad)), fitted by tanh; helpfulness the probability of the right
    answer, whose symmetric loss grows by 2^order when the strength is doubled (2^2 for a quadratic law).

    Returns:
        Both sides at every strength, with intervals; the fits; the exact slope of alignment at 0; the order of the
        loss; the coherence of generated replies.

    Raises:
        InputError: Something cannot be read, or nothing is left of helpfulness without steering.

    Example:
        >>> found = sweep("reference", strengths="-20:20:10", prompts=4, items=8, coherence_prompts=0, max_pairs=16)
        >>> found.values["largest_strength"], len(found.series("alignment")) >= 5
        (20.0, True)
    """
    title = f"Trade-off of steering {title_of(config.model)}"
    with Recorder("steering.sweep", title, config, context, papers=(1,)) as record:
        if not (config.scorer is None or isinstance(config.scorer, str) or callable(config.scorer)):
            raise InputError(f"scorer is {config.scorer!r:.60}: give the name of a registered one, or a function")
        found = SCORERS[config.scorer] if isinstance(config.scorer, str) else config.scorer
        scorer = cast("Scorer | None", found)
        bench = open_bench(config, context)
        if config.strengths is not None:
            strengths = sorted(set(config.strengths))
        else:
            reach, half = usable_range(bench, config.loss, config.score), (config.points - 1) // 2
            strengths = [reach * step / half for step in range(-half, half + 1)]
        record_warnings(record, bench, strengths)
        norm, reach = bench.hidden_norm, max(map(abs, strengths))
        # Beside the strengths asked for, pairs r and 2 r of small ones for the order of the loss.
        small = [share * norm for share in SMALL if share * norm <= reach]
        finer = sorted({*strengths, *small, *(-strength for strength in small)})
        scores = bench(finer)
        items = getattr(scores.helpfulness, config.score)
        slope = None
        if config.positions == "all":
            slope = mean(alignment_gradients(bench).sum(axis=1), unit="per unit strength")
        orders = loss_orders(finer, items, resamples=1000, generator=np.random.default_rng([context.seed, 20]))
        replies: list[Reply] = []
        if config.coherence_prompts:
            replies = generate_replies(
                bench.model,
                bench.vector,
                [item.prompt for item in bench.behavior[: config.coherence_prompts]],
                strengths,
                tokens=config.reply_tokens,
                positions=config.positions,
                tokens_per_batch=config.tokens_per_batch,
                progress=context.progress,
            )
        swept = _Swept(scores, finer, items, norm, slope, orders, replies)
        record.value("hidden_norm", swept.norm)
        record.value("largest_strength", max(strengths))
        _record_alignment(record, swept)
        _record_helpfulness(record, swept, restricted=config.score == "restricted")
        for reply in swept.replies:
            record.measure("coherence", reply.log_prob, unit="nats per token", step=reply.strength)
            record.measure("distinct", reply.distinct, unit="share", step=reply.strength)
        if scorer is not None:
            rows = []
            for strength in sorted({reply.strength for reply in swept.replies}):
                own = [reply for reply in swept.replies if reply.strength == strength]
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
        _record_curves(record, swept)
    return record.result


def _record_alignment(record: Recorder, swept: _Swept) -> None:
    alignment, zero = swept.scores.behavior.alignment, swept.strengths.index(0.0)
    start = mean(alignment[zero])
    means = alignment.mean(axis=1)
    # The S is judged where helpfulness is usable; the whole range is fitted for comparison.
    places = np.array(swept.strengths)
    sizes = np.abs(places)
    helpful = swept.items.mean(axis=1)
    base = helpful[zero]
    lost = {r: 1 - float(helpful[np.isclose(sizes, r)].mean()) / base for r in sizes}
    # Everything from the first unusable strength on is out, even where helpfulness recovers by luck.
    limit = min((r for r in sizes if lost[r] > USABLE), default=np.inf)
    inside = sizes < limit
    # A curve of two parameters through fewer points says nothing.
    window = inside if inside.sum() >= 5 else np.ones_like(inside)
    fit = _fit_or_none(lambda: fit_alignment(places[window].tolist(), means[window]))
    whole = _fit_or_none(lambda: fit_alignment(swept.strengths, means))
    for name, number in {
        "alignment_at_zero": start.value,
        "alignment_low": float(means.min()),
        "alignment_high": float(means.max()),
        "tanh_r2": fit.r_squared if fit else None,
        "tanh_r2_whole_range": whole.r_squared if whole else None,
        "tanh_range": float(places[window].max()),
        "tanh_slope": float(fit.parameters[0]) if fit else None,
        "tanh_offset": float(fit.parameters[1]) if fit else None,
    }.items():
        record.value(name, number)
    if swept.slope is not None:
        # The exact slope at 0 beside the central difference of the smallest strengths.
        nearest = min(value for value in swept.strengths if value > 0)
        low, high = (means[swept.strengths.index(value)] for value in (-nearest, nearest))
        record.value("slope", swept.slope.value)
        record.value("slope_central_difference", float((high - low) / (2 * nearest)))
    good = fit is not None and fit.r_squared is not None and fit.r_squared >= 0.99
    moved = float(np.ptp(means[window]))
    r2, r2_whole = (float("nan") if f is None or f.r_squared is None else f.r_squared for f in (fit, whole))
    record.finding(
        "alignment",
        "Does alignment follow the S-curve of Theorem 1?",
        "inconclusive" if fit is None or moved < 0.02 else ("agrees" if good else "disagrees"),
        f"Up to strength {places[window].max():.3g}, where at most {100 * USABLE:g} % of helpfulness are lost, B runs "
        f"from {means[window].min():.3f} to {means[window].max():.3f} ({start.value:.3f} without steering); tanh fits "
        f"with R2 {r2:.4f}; over the whole range with {r2_whole:.4f}.",
        predicted=Estimate(value=1.0, method="R2 of a perfect fit") if fit else None,
        measured=Estimate(value=fit.r_squared, method="least squares", n=int(window.sum()))
        if fit and fit.r_squared is not None
        else None,
        assumptions=(Assumption(statement=LINEAR, how=UNCHECKED), Assumption(statement=MARGIN, how=UNCHECKED)),
        advice="" if good else "Look at the coherence: where replies fall apart, the S-curve turns back.",
    )


def _record_helpfulness(record: Recorder, swept: _Swept, *, restricted: bool) -> None:
    items, zero = swept.items, swept.strengths.index(0.0)
    helpfulness = swept.scores.helpfulness
    bell = _fit_or_none(
        lambda: fit_bell(swept.strengths, items.mean(axis=1), helpfulness.chance if restricted else 0.0)
    )
    # The order at the largest small strength answers the question; that at the end of the range is for comparison.
    small = [strength for strength in swept.orders if strength <= max(SMALL) * swept.norm * (1 + 1e-6)]
    chosen, last = max(small, default=None), max(swept.orders, default=None)
    for name, number in {
        "helpfulness_at_zero": mean(items[zero]).value,
        "accuracy_at_zero": float(helpfulness.right[zero].mean()),
        "format_rate_at_zero": float(helpfulness.format_rate[zero].mean()),
        "bell_r2": bell.r_squared if bell else None,
        "bell_width": float(bell.parameters[0]) if bell else None,
        "bell_height": float(bell.parameters[1]) if bell else None,
        "loss_ratio_log2": swept.orders[chosen].value if chosen else None,
        "loss_ratio_strength": chosen,
        "loss_ratio_log2_at_the_end": swept.orders[last].value if last else None,
    }.items():
        record.value(name, number)
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
    order = swept.orders[chosen]
    # An interval wider than one order cannot tell a quadratic from a linear or a cubic law.
    within = low <= order.value <= high
    wide = order.low is None or order.high is None or order.high - order.low > 1.0
    record.finding(
        "order",
        "Is the loss of helpfulness quadratic in the strength?",
        "agrees" if within and not wide else ("inconclusive" if wide else "disagrees"),
        f"From strength {chosen / 2:.3g} to {chosen:.3g} the symmetric loss grows by a factor of "
        f"2^{order.value:.2f}, and of 2^{swept.orders[last].value:.2f} from {last / 2:.3g} to {last:.3g}; a "
        "quadratic law gives 2^2.",
        predicted=Estimate.exact(2.0),
        measured=order,
        assumptions=(Assumption(statement=NOISE, how=UNCHECKED),),
    )


def _record_curves(record: Recorder, swept: _Swept) -> None:
    behavior, helpfulness = swept.scores.behavior, swept.scores.helpfulness
    rows = []
    for number, strength in enumerate(swept.strengths):
        for key, values in (("alignment", behavior.alignment), ("helpfulness", swept.items)):
            found = mean(values[number])
            record.measure(key, found.value, step=strength)
            for end, value in (("low", found.low), ("high", found.high)):
                if value is not None:
                    record.measure(f"{key}_{end}", value, step=strength)
        own = [reply for reply in swept.replies if reply.strength == strength]
        rows.append(
            (
                round(strength, 4),
                round(float(behavior.alignment[number].mean()), 4),
                round(float(behavior.mass[number].mean()), 4),
                round(float(swept.items[number].mean()), 4),
                round(float(helpfulness.full[number].mean()), 4),
                round(float(helpfulness.format_rate[number].mean()), 4),
                round(float(np.mean([reply.log_prob for reply in own])), 3) if own else None,
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


def _fit_or_none(fit: Callable[[], Fit]) -> Fit | None:
    """A fit, or None where it does not converge: the verdict is then inconclusive."""
    try:
        return fit()
    except InputError:
        return None
