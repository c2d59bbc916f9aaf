"""Compares layers: how much alignment each gains before a budget of helpfulness is spent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqtant.findings import Estimate, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.bootstrap import percentile
from seqtant.stats.intervals import mean
from seqtant.steering.analysis.caveats import warn_of
from seqtant.steering.analysis.fits import fit_local_law, resampled
from seqtant.steering.analysis.strength_search import Budget, Observed, find_scale
from seqtant.steering.config import LayersConfig
from seqtant.steering.inputs import open_bench
from seqtant.steering.sweeping.bench import Bench
from seqtant.steering.sweeping.gradients import alignment_slopes
from seqtant.steering.sweeping.strength_range import FIRST, hidden_norm
from seqtant.steering.theory import efficient_limit

CAP = 4.0
"""Largest strength that is tried, in hidden norms."""


@dataclass(frozen=True)
class _Layer:
    number: int
    norm: float
    slope: Estimate
    """dB/dr at 0, exact."""
    strength: Estimate
    """Strength at which the budget is spent."""
    gain: Estimate
    """Predicted change of alignment at that strength."""
    quadratic: float


def run(config: LayersConfig, context: Context) -> Result:
    """Measures every layer alone.

    Raises:
        InputError: Something cannot be read.
    """
    with Recorder("steering.layers", f"Where to steer {config.model}", config, context, papers=(1,)) as record:
        bench = open_bench(config, context)
        warn_of(record, bench, [])
        slopes = alignment_slopes(bench)
        found = []
        bar = context.progress.task("layers", len(bench.vector.layers))
        for column, layer in enumerate(bench.vector.layers):
            own = bench.steered_by(bench.vector.at([layer]))
            found.append(_layer(config, context, own, layer, slopes[:, column]))
            bar.advance()
        bar.close()
        _record(record, config, found)
    return record.result


def _layer(config: LayersConfig, context: Context, bench: Bench, layer: int, slopes: np.ndarray) -> _Layer:
    norm = hidden_norm(bench)
    budget = Budget(share=config.budget, cap=CAP * norm)
    observed = Observed(bench, lambda read: getattr(read.helpfulness, config.score))
    probe = find_scale(observed, budget, FIRST * norm)
    observed.add([-probe, -probe / 2, probe / 2, probe])
    places = [value for value in observed.strengths if abs(value) <= probe * (1 + 1e-9)]
    rows = observed.items[[observed.strengths.index(value) for value in places]]
    generator = np.random.default_rng([context.seed, 40, layer])
    law = fit_local_law(places, rows.mean(axis=1), 0.0)
    drawn = fit_local_law(places, resampled(rows.shape[1], 500, generator) @ rows.T, 0.0)
    # Alignment may lie on either side; the cheaper side of the loss must not decide for the other.
    slope = mean(slopes, unit="per unit strength")
    side = 1 if slope.value >= 0 else -1
    value = min(float(law.strength(config.budget, side)), budget.cap)
    roots = np.minimum(drawn.strength(config.budget, side), budget.cap)
    start = observed.table(lambda read: read.behavior.alignment)[observed.strengths.index(0.0)]
    line = slopes / np.maximum(1 - start**2, 1e-9)
    gains = [float((np.tanh(np.arctanh(start) + side * line * root) - start).mean()) for root in roots[:200]]
    gain = float((np.tanh(np.arctanh(start) + side * line * value) - start).mean())
    n = rows.shape[1]
    return _Layer(
        layer,
        norm,
        slope,
        percentile(value, roots, method="paired bootstrap over items", n=n),
        percentile(gain, gains, method="paired bootstrap over items", n=n),
        -float(law.quadratic),
    )


def _record(record: Recorder, config: LayersConfig, found: list[_Layer]) -> None:
    best = max(found, key=lambda each: abs(each.gain.value))
    record.value("best_layer", best.number)
    record.value("best_gain", best.gain.value)
    record.value("best_strength", best.strength.value)
    others = [each for each in found if each is not best]
    apart = all(
        best.gain.low is not None and other.gain.high is not None and best.gain.low > other.gain.high
        for other in others
    )
    record.finding(
        "layer",
        f"Where does steering gain most before {100 * config.budget:g} % of helpfulness is lost?",
        "agrees" if apart else "inconclusive",
        f"Block {best.number}: alignment moves by {best.gain.value:.3f} at strength {best.strength.value:.3g} "
        f"({best.strength.value / best.norm:.2f} hidden norms).",
        measured=best.gain,
        advice=f"Steer there (--layers {best.number}), then choose the strength on other items than these.",
    )
    for each in found:
        record.measure("gain", each.gain.value, step=each.number)
        for end, value in (("low", each.gain.low), ("high", each.gain.high)):
            if value is not None:
                record.measure(f"gain_{end}", value, step=each.number)
    record.table(
        "layers",
        f"Every block alone, at a budget of {100 * config.budget:g} %",
        (
            "block",
            "hidden norm",
            "slope",
            "strength",
            "in hidden norms",
            "gain",
            "gain low",
            "gain high",
            "efficient to",
        ),
        [
            (
                each.number,
                round(each.norm, 3),
                round(each.slope.value, 6),
                round(each.strength.value, 4),
                round(each.strength.value / each.norm, 3),
                *(round(float(value), 4) for value in (each.gain.value, each.gain.low or 0.0, each.gain.high or 0.0)),
                round(efficient_limit(abs(each.slope.value), each.quadratic), 3),
            )
            for each in found
        ],
        note="Slope is the exact derivative of alignment at 0; the gain follows it along tanh to the strength at which "
        "the law of small strengths spends the budget; below 'efficient to' alignment gained exceeds helpfulness lost.",
    )
