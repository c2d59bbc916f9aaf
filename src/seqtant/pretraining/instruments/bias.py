"""Measures what a model gains from related text: in its context, and after one gradient step on it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from seqtant.findings import Assumption, Estimate, Result, Verdict
from seqtant.lm import load
from seqtant.pretraining.config import BiasConfig
from seqtant.pretraining.evaluation.gain import TextPair, corpus_pairs, in_context_gains, measure_gains, story_pairs
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import is_reference
from seqtant.stats.intervals import clustered_mean, overlap

_UNIT = "nats per token"


@verb(BiasConfig)
def bias(config: BiasConfig, context: Context) -> Result:
    """Measures what a model gains from related text: in its context, and after one gradient step on it.

    For a text S2 and a related text S1, in nats per token of S2: in context log p(S2 | S1) - log p(S2); sequentially
    the fall of the loss on S2 after the step W - s |W| g / |g| on S1, for every relative step s. Random texts in place
    of S1 show what getting used to the style gains. The weights are given back to the bit.

    Returns:
        Both gains with their controls, and the in-context bias: the gain in context minus that of the first step.

    Raises:
        InputError: The model cannot be used, is in half precision, or the corpus gives too few pairs.

    Example:
        >>> result = bias("reference", pairs=4, relative_steps=[1e-4], device="cpu")
        >>> result.values["gain_in_context"] > result.values["gain_sequential"]
        True
    """
    model = load(config.model, device=context.device, dtype="float32", shared=True)
    generator = np.random.default_rng([context.seed, 6])
    title = f"What {model.name} gains from related text, in context and by one gradient step"
    with Recorder("pretraining.bias", title, config, context, papers=(6,)) as record:
        if config.corpus:
            pairs = corpus_pairs(model, config.corpus, config.pairs, generator, longest=config.longest)
        else:
            pairs = story_pairs(model, config.pairs, generator)
        gains = measure_gains(model, pairs, config.relative_steps, progress=context.progress)
        clusters = [pair.cluster for pair in pairs]
        average = partial(clustered_mean, clusters=clusters, unit=_UNIT)
        # From reading the text in context, then from a step of each length.
        related = [average(gains.related_in_context), *map(average, gains.related_sequential.T)]
        random = [average(gains.control_in_context), *map(average, gains.control_sequential.T)]
        difference = average(gains.related_in_context - gains.related_sequential[:, 0])
        largest = int(np.argmax([each.value for each in related[1:]]))
        for name, number in {
            "gain_in_context": related[0].value,
            "gain_in_context_random": random[0].value,
            "gain_sequential": related[1].value,
            "gain_sequential_random": random[1].value,
            "gain_difference": difference.value,
            "largest_gain_sequential": related[1 + largest].value,
            "largest_gain_step": config.relative_steps[largest],
            "pairs": len(pairs),
        }.items():
            record.value(name, number)
        record.items("gain_in_context", gains.related_in_context, unit=_UNIT, kind="pair")
        seen = ["in context", *(f"step of {step:g}" for step in config.relative_steps)]
        record.table(
            "gains",
            "Gain in the loss of a text, in nats per token",
            ("seen", "related text", "random text"),
            [
                (name, *(f"{each.number} {each.interval}" for each in (replace(a, unit=""), replace(b, unit=""))))
                for name, a, b in zip(seen, related, random, strict=True)
            ],
            note="A step is plain gradient descent on the earlier text alone, its length in lengths of the weights. "
            "What a random text gains too is getting used to the style, not to what the text says.",
        )
        for step, *both in zip(config.relative_steps, related[1:], random[1:], strict=True):
            for group, each in zip(("related", "random"), both, strict=True):
                record.measure("gain_sequential", each.value, unit=_UNIT, step=step, group=group)
        _record_bias(record, config, related, random[0], difference)
        if is_reference(config.model) and not config.corpus:
            _record_world(record, related[0], pairs)
    return record.result


def _record_bias(
    record: Recorder, config: BiasConfig, related: list[Estimate], random: Estimate, difference: Estimate
) -> None:
    low, high = difference.low or 0.0, difference.high or 0.0
    verdict: Verdict = "agrees" if low > 0 else "disagrees" if high < 0 else "inconclusive"
    in_context, *sequential = related
    largest = max(sequential, key=lambda each: each.value)
    record.finding(
        "in_context_bias",
        "Does the model gain more from related text in its context than from one gradient step on it?",
        verdict,
        f"{in_context.number} in context, {sequential[0].number} from a step of "
        f"{config.relative_steps[0]:g} of the weights' length; the largest gain of any step tried is {largest.number}.",
        predicted=Estimate(value=0.0, low=0.0, method="theory: the difference is positive", unit=_UNIT),
        measured=difference,
        assumptions=(
            Assumption(
                statement="The gain comes from what the related text says, not from its style",
                status="holds" if in_context.low is not None and in_context.low > random.value else "fails",
                how=f"a random text in the context gains {random.number}",
            ),
            Assumption(
                statement="The step is as long as one text's share of a training step",
                how="taken as given: it depends on batch and optimizer; longer steps are in the table",
            ),
        ),
        advice="Put related texts into one example: what this model is to integrate should stand together."
        if verdict == "agrees"
        else "Context brings this model little here: check with your own text (--corpus) before regrouping data.",
    )


def _record_world(record: Recorder, in_context: Estimate, pairs: list[TextPair]) -> None:
    """Compares the gain with that of exact inference in the reference world, on the same pairs."""
    from seqtant.reference import WorldLM, reference_world

    gains = in_context_gains(WorldLM(reference_world()), pairs)
    truth = clustered_mean(gains, [pair.cluster for pair in pairs], unit=_UNIT)
    record.value("world_gain_in_context", truth.value)
    exact = Estimate.exact(truth.value, unit=_UNIT, method="exact posterior of the world, the same pairs")
    record.finding(
        "world",
        "Does the reference model gain as much as its world allows?",
        "agrees" if overlap(exact, in_context) else "disagrees",
        f"{in_context.number} of the {truth.number} that exact inference gains on the same pairs.",
        predicted=exact,
        measured=in_context,
        assumptions=(
            Assumption(
                statement="The model has learned the stories of its world",
                status="holds" if in_context.value > 0.9 * truth.value else "fails",
                how=f"it reaches {in_context.value / truth.value:.0%} of the exact gain",
            ),
        ),
    )
