"""Measures what a model gains from related text: in its context, and after one gradient step on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from seqtant.findings import Assumption, Estimate, Result, Verdict
from seqtant.lm import load
from seqtant.lm.folder import REFERENCE, name_of
from seqtant.pretraining.config import BiasConfig
from seqtant.pretraining.evaluation.gain import TextPair, corpus_pairs, in_context_gains, measure_gains, story_pairs
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.runs.verb import verb
from seqtant.sources import ModelSource, is_path
from seqtant.stats.intervals import clustered_mean

_UNIT = "nats per token"


@dataclass(frozen=True)
class Summary:
    """Mean gains with intervals, clustered by the document of the target."""

    in_context: Estimate
    """Reading the related text."""
    in_context_random: Estimate
    """Reading a random text."""
    sequential: tuple[Estimate, ...]
    """A step on the related text, per step size."""
    sequential_random: tuple[Estimate, ...]
    """A step on a random text, per step size."""
    difference: Estimate
    """In context minus sequential at the first step size, pair by pair."""


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
        found = Summary(
            in_context=average(gains.related_in_context),
            in_context_random=average(gains.control_in_context),
            sequential=tuple(average(column) for column in gains.related_sequential.T),
            sequential_random=tuple(average(column) for column in gains.control_sequential.T),
            difference=average(gains.related_in_context - gains.related_sequential[:, 0]),
        )
        largest = int(np.argmax([each.value for each in found.sequential]))
        for name, number in {
            "gain_in_context": found.in_context.value,
            "gain_in_context_random": found.in_context_random.value,
            "gain_sequential": found.sequential[0].value,
            "gain_sequential_random": found.sequential_random[0].value,
            "gain_difference": found.difference.value,
            "largest_gain_sequential": found.sequential[largest].value,
            "largest_gain_step": config.relative_steps[largest],
            "pairs": len(pairs),
        }.items():
            record.value(name, number)
        record.items("gain_in_context", gains.related_in_context, unit=_UNIT, kind="pair")
        _record_table(record, config, found)
        _record_bias(record, config, found)
        if is_reference(config.model) and not config.corpus:
            _record_world(record, found, pairs)
    return record.result


def is_reference(model: ModelSource) -> bool:
    """Whether a model is the one that ships, by its name or loaded by :func:`seqtant.lm.load`."""
    return (str(model) if is_path(model) else name_of(model)) == REFERENCE


def _record_table(record: Recorder, config: BiasConfig, found: Summary) -> None:
    steps = list(zip(config.relative_steps, found.sequential, found.sequential_random, strict=True))
    lines = [("in context", found.in_context, found.in_context_random)]
    lines += [(f"step of {step:g}", related, control) for step, related, control in steps]
    record.table(
        "gains",
        "Gain in the loss of a text, in nats per token",
        ("seen", "related text", "random text"),
        [
            (seen, *(f"{each.number} {each.interval}" for each in (replace(a, unit=""), replace(b, unit=""))))
            for seen, a, b in lines
        ],
        note="A step is plain gradient descent on the earlier text alone, its length in lengths of the weights. What a "
        "random text gains too is getting used to the style, not to what the text says.",
    )
    for step, related, control in steps:
        record.measure("gain_sequential", related.value, unit=_UNIT, step=step, group="related")
        record.measure("gain_sequential", control.value, unit=_UNIT, step=step, group="random")


def _record_bias(record: Recorder, config: BiasConfig, found: Summary) -> None:
    low, high = _bounds(found.difference)
    verdict: Verdict = "agrees" if low > 0 else "disagrees" if high < 0 else "inconclusive"
    largest = max(found.sequential, key=lambda each: each.value)
    record.finding(
        "in_context_bias",
        "Does the model gain more from related text in its context than from one gradient step on it?",
        verdict,
        f"{found.in_context.number} in context, {found.sequential[0].number} from a step of "
        f"{config.relative_steps[0]:g} of the weights' length; the largest gain of any step tried is {largest.number}.",
        predicted=Estimate(value=0.0, low=0.0, method="theory: the difference is positive", unit=_UNIT),
        measured=found.difference,
        assumptions=(
            Assumption(
                statement="The gain comes from what the related text says, not from its style",
                status="holds" if _bounds(found.in_context)[0] > found.in_context_random.value else "fails",
                how=f"a random text in the context gains {found.in_context_random.number}",
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


def _bounds(estimate: Estimate) -> tuple[float, float]:
    """Returns the bounds of an interval; infinite where there is none."""
    low = -np.inf if estimate.low is None else estimate.low
    return low, np.inf if estimate.high is None else estimate.high


def _record_world(record: Recorder, found: Summary, pairs: list[TextPair]) -> None:
    """Compares the gain with that of exact inference in the reference world, on the same pairs."""
    from seqtant.reference import WorldLM, reference_world

    truth = clustered_mean(
        in_context_gains(WorldLM(reference_world()), pairs), [pair.cluster for pair in pairs], unit=_UNIT
    )
    record.value("world_gain_in_context", truth.value)
    low, high = _bounds(found.in_context)
    record.finding(
        "world",
        "Does the reference model gain as much as its world allows?",
        "agrees" if low <= truth.value <= high else "disagrees",
        f"{found.in_context.number} of the {truth.number} that exact inference gains on the same pairs.",
        predicted=Estimate.exact(truth.value, unit=_UNIT, method="exact posterior of the world, the same pairs"),
        measured=found.in_context,
        assumptions=(
            Assumption(
                statement="The model has learned the stories of its world",
                status="holds" if found.in_context.value > 0.9 * truth.value else "fails",
                how=f"it reaches {found.in_context.value / truth.value:.0%} of the exact gain",
            ),
        ),
    )
