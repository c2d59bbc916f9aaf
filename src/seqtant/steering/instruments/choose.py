"""Chooses the strength that aligns best within the budgets, and verifies it on held-out prompts and items."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Assumption, Result, Verdict
from seqtant.lm.hooks import depth
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import name_of
from seqtant.stats.intervals import mean
from seqtant.steering.analysis.logits import logit_changes
from seqtant.steering.analysis.recommendation import (
    Candidate,
    Coherence,
    LayerChoice,
    best,
    compare_strengths,
    search_layers,
)
from seqtant.steering.analysis.strength_search import (
    Budget,
    StrengthMeasurements,
    choose,
)
from seqtant.steering.analysis.verification import SHARES, Halves, apart, loss_at, record_curve, record_edge, record_law
from seqtant.steering.config import ChooseConfig
from seqtant.steering.inputs import open_bench, record_warnings
from seqtant.steering.sweeping.bench import FIRST_STRENGTH, Bench
from seqtant.steering.theory import (
    LINEAR,
    fit_proportional,
    resampled,
)
from seqtant.steering.vectors.extraction import steered_blocks

STRAIGHT = 0.99
"""Least R^2 of a straight line for the change of the logits to count as linear."""


@verb(ChooseConfig)
def choose_strength(config: ChooseConfig, context: Context) -> Result:
    """Chooses the strength of the best measured alignment within the budgets, and verifies it on the other half.

    Half of the prompts and items is measured to choose, the other half to verify. Near 0 helpfulness follows
    log(P(r) / P(0)) = L r + Q r^2: the law is fitted at small strengths and solved for the budget, and measured,
    widened or bracketed until the loss there is the budget. That strength is an upper end. Up to it alignment and the
    coherence of greedy replies are measured, and the strength that aligns best among those that keep both budgets is
    advised; none where nothing gains.

    Returns:
        The advised strength with what it gains and costs on held-out prompts and items; the strength at which they
        lose the budget; how far the law of small strengths was off at 2, 5 and 10 %; whether its refit holds; the
        alignment that the exact slope at 0 predicts, and the one that Theorem 1 guarantees with the margins of the
        held-out prompts at that very strength.

    Raises:
        InputError: Something cannot be read, or there is no helpfulness to lose.

    Example:
        >>> found = choose_strength("reference", budget=0.05, prompts=8, items=24, max_pairs=16, resamples=100)
        >>> 0 < found.values["strength"] <= found.values["edge"]
        True
    """
    title = f"Strength for a budget of {100 * config.budget:g} % on {name_of(config.model)}"
    with Recorder("steering.choose", title, config, context, papers=(1,)) as record:
        automatic = config.layers == "auto"
        bench = open_bench(replace(config, layers="0:1.0") if automatic else config, context)
        fitting_bench, held_out_bench = split_in_halves(bench, context.seed)
        generator = np.random.default_rng([context.seed, 30])
        if automatic:
            found = _compare_layers(config, fitting_bench, generator)
            _record_layers(record, found)
            top = max(found, key=_gain)
            bench, held_out_bench = (replace(each, vector=top.bench.vector) for each in (bench, held_out_bench))
            fitting_bench, fitting, coherence = top.bench, top.measured, top.coherence
        else:
            fitting = StrengthMeasurements(fitting_bench, lambda scores: getattr(scores.helpfulness, config.score))
            coherence = Coherence.of(fitting_bench, config.reply_tokens)
        budget = _budget(config, fitting, fitting_bench)
        halves = Halves(
            fitting_bench, fitting, StrengthMeasurements(held_out_bench, fitting.score), coherence, budget, generator
        )
        start = min(FIRST_STRENGTH * bench.hidden_norm, budget.cap)
        choice = choose(fitting, budget, start, resamples=config.resamples, generator=generator)
        record_warnings(record, bench, [choice.probe])
        candidates = compare_strengths(fitting, coherence, budget, abs(choice.strength.value), config.coherence_budget)
        # One strength further on, so that the law can be held against the largest of the usual budgets.
        beyond = min(float(choice.law.strength(max(SHARES), budget.side)), 1.5 * abs(choice.strength.value), budget.cap)
        fitting.add([budget.side * beyond])
        advised = best(candidates)
        if advised is None:
            _record_refusal(record, config, candidates, halves, context)
        else:
            _record_advice(record, config, halves, advised)
        record_edge(record, config, halves, choice)
        record_law(record, config, halves, choice)
        if config.positions != "all":
            record.warn("no exact slope: it is made for steering at all positions only")
        elif advised is not None:
            record_curve(record, held_out_bench, halves, advised.strength)
        _record_tables(record, halves, candidates)
        if advised is not None:
            record.value("strength_in_hidden_norms", advised.strength / bench.hidden_norm)
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


def _budget(config: ChooseConfig, fitting: StrengthMeasurements, bench: Bench) -> Budget:
    """The budget as a share of helpfulness without steering above a floor, whatever kind the user gave."""
    fitting.add([])
    zero = next(scores.helpfulness for scores in fitting.readings if 0.0 in scores.strengths)
    base = fitting.mean(0.0)
    share = config.budget / base if config.budget_kind == "absolute" else config.budget
    if not share < 1:
        raise InputError(f"an absolute budget of {config.budget:g} is all the helpfulness there is ({base:.3g})")
    above_chance = config.budget_kind == "above-chance" and config.score == "restricted"
    return Budget(
        share=share, floor=zero.chance if above_chance else 0.0, side=config.side, cap=config.cap * bench.hidden_norm
    )


def _compare_layers(config: ChooseConfig, fitting: Bench, generator: np.random.Generator) -> list[LayerChoice]:
    """Every block alone, and those that are steered by default, on the fitting half."""
    layers = fitting.vector.layers
    together = list(steered_blocks(depth(fitting.model)))
    if config.vector is not None:
        together = list(layers)
    choices = [[layer] for layer in layers] + ([together] if len(together) > 1 else [])
    measured = StrengthMeasurements(fitting, lambda scores: getattr(scores.helpfulness, config.score))
    return search_layers(
        fitting,
        choices,
        _budget(config, measured, fitting),
        measured.score,
        coherence_budget=config.coherence_budget,
        reply_tokens=config.reply_tokens,
        weights=lambda n: resampled(n, config.resamples, generator),
    )


def _gain(choice: LayerChoice) -> float:
    found = best(choice.candidates)
    return found.gain if found else -np.inf


def _record_layers(record: Recorder, found: list[LayerChoice]) -> None:
    rows = []
    for choice in sorted(found, key=_gain, reverse=True):
        at = best(choice.candidates)
        blocks = ",".join(map(str, choice.bench.vector.layers))
        strength, gain, loss, incoherence = (
            (at.strength, at.gain, at.loss, at.incoherence) if at else (None, None, None, None)
        )
        rows.append((blocks, strength, gain, loss, incoherence))
    record.table(
        "layers",
        "The best strength of each choice of blocks, on the fitting half",
        ("blocks", "strength", "gain", "loss", "incoherence"),
        [(name, *(None if value is None else round(float(value), 4) for value in values)) for name, *values in rows],
        note="Nothing stands where no strength that was tried gains alignment within the budgets.",
    )


def _record_advice(record: Recorder, config: ChooseConfig, halves: Halves, advised: Candidate) -> None:
    """What the advised strength gains and costs: alignment and helpfulness of both halves, replies, divergence."""
    strength, held_out = advised.strength, halves.held_out
    held_out.add([strength])
    expected, gain = (
        mean(config.side * np.diff(half.alignment_at([0.0, strength]), axis=0)[0], unit="of alignment")
        for half in (halves.fitting, held_out)
    )
    before, after = held_out.alignment_at([0.0, strength]).mean(axis=1)
    lost = loss_at(held_out, halves.budget, strength, config.resamples, halves.generator)
    (incoherence,) = halves.coherence.loss([strength])
    distinct, distinct_before = (
        float(np.mean([reply.distinct for reply in halves.coherence.replies[value]])) for value in (strength, 0.0)
    )
    steps = [strength * share for share in (0.25, 0.5, 0.75, 1.0)]
    norms, divergences = logit_changes(halves.fitting_bench, steps)
    straight = fit_proportional(np.abs(steps), norms.mean(axis=1), STRAIGHT).reach
    masses = held_out.table(lambda scores: scores.behavior.mass.mean(axis=1))
    mass_before, mass = (float(masses[held_out.strengths.index(value)]) for value in (0.0, strength))
    for name, number in {
        "strength": strength,
        "alignment_at_zero": float(before),
        "measured_alignment": float(after),
        "expected_gain": expected.value,
        "measured_gain": gain.value,
        "measured_gain_low": gain.low,
        "measured_gain_high": gain.high,
        "expected_loss": advised.loss,
        "measured_loss": lost.value,
        "measured_loss_low": lost.low,
        "measured_loss_high": lost.high,
        "incoherence": incoherence.value,
        "divergence": float(divergences[-1].mean()),
        "distinct": distinct,
        "distinct_at_zero": distinct_before,
        "mass": mass,
        "mass_at_zero": mass_before,
        "linear_to": straight,
    }.items():
        record.value(name, number)
    at = "" if config.layers != "auto" else f" at --layers {','.join(map(str, halves.fitting_bench.vector.layers))}"
    differ = apart(expected, gain)
    gains = gain.low is not None and gain.low > 0
    verdict: Verdict = "agrees" if gains and not differ else "inconclusive" if (gain.high or 1) > 0 else "disagrees"
    record.finding(
        "strength",
        "Which strength aligns best and keeps the budgets?",
        "disagrees" if differ else verdict,
        f"Strength {strength:.4g}: alignment {before:.3f} without steering, {after:.3f} with it on held-out prompts; "
        f"held-out items lose {100 * lost.value:.2f} % (budget {100 * config.budget:g} %), replies "
        f"{incoherence.value:.2f} nats per token (budget {config.coherence_budget:g}).",
        predicted=expected,
        measured=gain,
        assumptions=(
            Assumption(
                statement=LINEAR,
                status="holds" if straight >= abs(strength) * (1 - 1e-9) else "fails",
                how=f"a line fits the norms of the change of the logits up to {straight:.3g} (R2 {STRAIGHT})"
                if straight
                else f"no line through 0 fits the norms of the change of the logits (R2 below {STRAIGHT})",
            ),
        ),
        advice=f"Steer with strength {strength:.4g}{at}."
        if gains
        else f"Not shown to help on held-out prompts: measure strength {strength:.4g}{at} on more of them.",
    )
    if mass < mass_before / 2:
        record.warn(
            f"good and bad replies together have {mass:.2g} of all probability at this strength, {mass_before:.2g} "
            "without steering: the score covers less of what is said"
        )
    if distinct < distinct_before / 2:
        record.warn(f"replies repeat: {distinct:.2f} of their pairs of tokens are distinct, not {distinct_before:.2f}")


def _record_refusal(
    record: Recorder, config: ChooseConfig, candidates: list[Candidate], halves: Halves, context: Context
) -> None:
    """No strength gains within the budgets: which blocks do, of those that were not asked for."""
    gaining = [each for each in candidates if each.gain > 0]
    reason = (
        "No strength that was tried gains alignment."
        if not gaining
        else f"What gains alignment costs more than the budgets: at strength {gaining[0].strength:.3g} items lose "
        f"{100 * gaining[0].loss:.2f} %, replies {gaining[0].incoherence:.2f} nats per token."
    )
    advice = "This vector does not work within the budgets: try other pairs, or the other --side."
    if config.layers != "auto":
        whole = open_bench(replace(config, layers="0:1.0"), context)
        found = _compare_layers(config, split_in_halves(whole, context.seed)[0], halves.generator)
        _record_layers(record, found)
        works = sorted((each for each in found if np.isfinite(_gain(each))), key=_gain, reverse=True)
        if works:
            names = ["--layers " + ",".join(map(str, each.bench.vector.layers)) for each in works[:3]]
            advice = f"At these blocks the vector does not work; it gains at {', '.join(names)}."
    for name in ("strength", "strength_in_hidden_norms", "measured_alignment", "measured_gain", "measured_loss"):
        record.value(name, None)
    record.value("alignment_at_zero", float(halves.fitting.alignment_at([0.0]).mean()))
    record.finding("strength", "Which strength aligns best and keeps the budgets?", "disagrees", reason, advice=advice)


def _record_tables(record: Recorder, halves: Halves, candidates: list[Candidate]) -> None:
    record.table(
        "strengths",
        "Strengths that were compared, on the fitting half",
        ("strength", "gain", "loss", "incoherence", "within budgets"),
        [
            (
                *(round(value, 4) for value in (each.strength, each.gain, each.loss)),
                None if np.isnan(each.incoherence) else round(each.incoherence, 3),
                "yes" if each.allowed else "no",
            )
            for each in candidates
        ],
        note="Gain is of alignment, loss of helpfulness, incoherence in nats per token of greedy replies; replies are "
        "made only where alignment gains and the loss is within its budget.",
    )
    for name, title, measured in (
        ("fitting", "What the choice was made on", halves.fitting),
        ("held_out", "What verified it: other prompts and items", halves.held_out),
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
    for each in candidates:
        if not np.isnan(each.incoherence):
            record.measure("incoherence", each.incoherence, unit="nats per token", step=each.strength)
