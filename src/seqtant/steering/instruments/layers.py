"""Compares layers: the most alignment that each gains within budgets of helpfulness and coherence, as measured."""

from __future__ import annotations

import numpy as np

from seqtant.findings import Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import mean, percentile
from seqtant.steering.analysis.recommendation import best, search_layers
from seqtant.steering.analysis.strength_search import Budget
from seqtant.steering.config import LayersConfig
from seqtant.steering.inputs import open_bench, record_warnings, title_of
from seqtant.steering.sweeping.bench import alignment_gradients
from seqtant.steering.theory import efficient_limit, resampled

RESAMPLES = 500
"""Bootstrap resamples over items."""


@verb(LayersConfig)
def compare_layers(config: LayersConfig, context: Context) -> Result:
    """Compares blocks: how much alignment each gains, steered alone, within budgets of helpfulness and coherence.

    The law of small strengths tells where the helpfulness budget is spent; alignment, helpfulness and the coherence of
    greedy replies are measured up to there, on the side to which the exact slope at 0 points.

    Returns:
        The best block with the gain and the strength at which it was measured, and a table of all.

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
        gradients = alignment_gradients(bench)  # [prompts, layers]
        slopes = [mean(column, unit="per unit strength") for column in gradients.T]
        generator = np.random.default_rng([context.seed, 40])
        found = search_layers(
            bench,
            [[layer] for layer in bench.vector.layers],
            Budget(share=config.budget),
            lambda scores: getattr(scores.helpfulness, config.score),
            coherence_budget=config.coherence_budget,
            reply_tokens=config.reply_tokens,
            weights=lambda n: resampled(n, RESAMPLES, generator),
            # Alignment may lie on either side; the cheaper side of the loss must not decide for the other.
            sides=[1 if slope.value >= 0 else -1 for slope in slopes],
        )
        rows, gains = [], {}
        for slope, choice in zip(slopes, found, strict=True):
            (block,), at, norm = choice.bench.vector.layers, best(choice.candidates), choice.bench.hidden_norm
            edge = percentile(choice.edge, choice.edges, method="paired bootstrap over items")
            gain = None
            if at is not None:
                before, after = choice.measured.alignment_at([0.0, at.strength])
                gains[block] = gain = mean(after - before, unit="of alignment"), at.strength, norm
                record.measure("gain", gain[0].value, step=block)
                for end, value in (("low", gain[0].low), ("high", gain[0].high)):
                    if value is not None:
                        record.measure(f"gain_{end}", value, step=block)
            rows.append(
                {
                    "block": block,
                    "hidden norm": round(norm, 3),
                    "slope": round(slope.value, 6),
                    "spent at": round(edge.value, 4),
                    "strength": round(at.strength, 4) if at else None,
                    "gain": round(gain[0].value, 4) if gain else None,
                    "loss": round(at.loss, 4) if at else None,
                    "incoherence": round(at.incoherence, 3) if at else None,
                    "efficient to": round(efficient_limit(abs(slope.value), choice.quadratic), 3),
                }
            )
        _record(record, config, gains)
        record.table(
            "layers",
            f"Every block alone, within {100 * config.budget:g} % of helpfulness and {config.coherence_budget:g} nats",
            tuple(rows[0]),
            [tuple(row.values()) for row in rows],
            note="Slope is the exact derivative of alignment at 0. The law of small strengths spends the budget at "
            "'spent at'; gain, loss and incoherence (nats per token of greedy replies) were measured at 'strength', "
            "the best one within the budgets. Below 'efficient to' alignment gained exceeds helpfulness lost.",
        )
    return record.result


def _record(record: Recorder, config: LayersConfig, gains: dict[int, tuple[Estimate, float, float]]) -> None:
    question = f"Where does steering gain most before {100 * config.budget:g} % of helpfulness is lost?"
    if not gains:
        for name in ("best_layer", "best_gain", "best_strength"):
            record.value(name, None)
        record.finding(
            "layer",
            question,
            "disagrees",
            "At no block does a strength that was tried gain alignment within the budgets.",
            advice="This vector does not work: try other pairs.",
        )
        return
    block = max(gains, key=lambda each: abs(gains[each][0].value))
    gain, strength, norm = gains[block]
    ends = {
        name: sorted(abs(end) for end in (each.low, each.high) if end is not None) for name, (each, *_) in gains.items()
    }
    # Gains of either sign are compared by their size; an interval that holds 0 is above nothing.
    signed = (gain.low or 0.0) * (gain.high or 0.0) > 0
    apart = signed and all(high[-1:] < ends[block][:1] for other, high in ends.items() if other != block)
    for name, value in (("best_layer", block), ("best_gain", gain.value), ("best_strength", strength)):
        record.value(name, value)
    record.finding(
        "layer",
        question,
        "agrees" if apart else "inconclusive",
        f"Block {block}: alignment moves by {gain.value:.3f} at strength {strength:.3g} ({strength / norm:.2f} hidden "
        "norms), as measured.",
        measured=gain,
        advice=f"Steer there (--layers {block}), then choose the strength on other items than these.",
    )
