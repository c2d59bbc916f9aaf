"""Compares layers: how much alignment each gains before a budget of helpfulness is spent."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from seqtant.findings import Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import mean, percentile
from seqtant.steering.analysis.strength_search import (
    Budget,
    StrengthMeasurements,
    find_probe_strength,
    fit_law_up_to,
)
from seqtant.steering.config import LayersConfig
from seqtant.steering.inputs import open_bench, record_warnings, title_of
from seqtant.steering.sweeping.bench import FIRST_STRENGTH, LARGEST_STRENGTH, alignment_gradients
from seqtant.steering.theory import efficient_limit, resampled

RESAMPLES = 500
"""Bootstrap resamples over items."""


@dataclass(frozen=True)
class _Layer:
    number: int
    norm: float
    """Mean hidden norm."""
    slope: Estimate
    """dB/dr at 0, exact."""
    strength: Estimate
    """Strength at which the budget is spent."""
    gain: Estimate
    """Predicted change of alignment at that strength."""
    quadratic: float
    """Helpfulness lost per squared strength."""


@verb(LayersConfig)
def compare_layers(config: LayersConfig, context: Context) -> Result:
    """Compares blocks: how much alignment each gains, steered alone, before a budget of helpfulness is spent.

    The gain follows B(r) = tanh(arctanh B_0 + slope r / (1 - B_0^2)), with the exact slope at 0, to the strength at
    which the law of small strengths spends the budget.

    Returns:
        The best block with its gain and strength, and a table of all.

    Raises:
        InputError: Something cannot be read.

    Example:
        >>> found = compare_layers("reference", layers=[2, 3], prompts=4, items=8, max_pairs=16)
        >>> found.values["best_layer"] in (2, 3)
        True
    """
    title = f"Where to steer {title_of(config.model)}"
    with Recorder("steering.layers", title, config, context, papers=(1,)) as record:
        bench = open_bench(config, context)
        record_warnings(record, bench, [])
        slopes = alignment_gradients(bench)  # [prompts, layers]
        found: list[_Layer] = []
        bar = context.progress.task("layers", len(bench.vector.layers))
        for column, layer in enumerate(bench.vector.layers):
            own = replace(bench, vector=bench.vector.at([layer]))
            generator = np.random.default_rng([context.seed, 40, layer])
            norm = own.hidden_norm
            budget = Budget(share=config.budget, cap=LARGEST_STRENGTH * norm)
            measured = StrengthMeasurements(own, lambda scores: getattr(scores.helpfulness, config.score))
            probe = find_probe_strength(measured, budget, FIRST_STRENGTH * norm)
            measured.add([-probe, -probe / 2, probe / 2, probe])
            # The same law as in choose, without its widening: layers are compared at one probe each.
            n = measured.items.shape[1]
            law = fit_law_up_to(measured, budget, probe)
            drawn = fit_law_up_to(measured, budget, probe, resampled(n, RESAMPLES, generator))
            # Alignment may lie on either side; the cheaper side of the loss must not decide for the other.
            slope = mean(slopes[:, column], unit="per unit strength")
            side = 1 if slope.value >= 0 else -1
            value = min(float(law.strength(config.budget, side)), budget.cap)
            roots = np.minimum(drawn.strength(config.budget, side), budget.cap)
            # Along B(r) = tanh(arctanh B_0 + slope r / (1 - B_0^2)), which has the exact slope at 0.
            start = measured.alignment[measured.strengths.index(0.0)]
            line = slopes[:, column] / np.maximum(1 - start**2, 1e-9)
            # A prompt whose alignment is +-1 to rounding has no arctanh.
            odds = np.arctanh(np.clip(start, -1 + 1e-12, 1 - 1e-12))
            gain, *gains = (
                float((np.tanh(odds + side * line * root) - start).mean()) for root in (value, *roots[:200])
            )
            found.append(
                _Layer(
                    layer,
                    norm,
                    slope,
                    percentile(value, roots, method="paired bootstrap over items", n=n),
                    percentile(gain, gains, method="paired bootstrap over items", n=n),
                    -float(law.quadratic),
                )
            )
            bar.advance()
        bar.close()
        _record(record, config, found)
    return record.result


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
    rows = [
        {
            "block": each.number,
            "hidden norm": round(each.norm, 3),
            "slope": round(each.slope.value, 6),
            "strength": round(each.strength.value, 4),
            "in hidden norms": round(each.strength.value / each.norm, 3),
            "gain": round(each.gain.value, 4),
            "gain low": round(each.gain.low or 0.0, 4),
            "gain high": round(each.gain.high or 0.0, 4),
            "efficient to": round(efficient_limit(abs(each.slope.value), each.quadratic), 3),
        }
        for each in found
    ]
    record.table(
        "layers",
        f"Every block alone, at a budget of {100 * config.budget:g} %",
        tuple(rows[0]),
        [tuple(row.values()) for row in rows],
        note="Slope is the exact derivative of alignment at 0; the gain follows it along tanh to the strength at which "
        "the law of small strengths spends the budget; below 'efficient to' alignment gained exceeds helpfulness lost.",
    )
