"""Chooses the strength that aligns best within the budgets, and verifies it on held-out prompts and items."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Assumption, Estimate, Result, Verdict
from seqtant.lm.hooks import depth
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import name_of
from seqtant.stats.intervals import mean, percentile
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
    Choice,
    StrengthMeasurements,
    choose,
    crossing,
    operating_point,
    relative_loss,
)
from seqtant.steering.config import ChooseConfig
from seqtant.steering.inputs import open_bench, record_warnings
from seqtant.steering.sweeping.bench import FIRST_STRENGTH, BehaviorScores, Bench, alignment_gradients
from seqtant.steering.theory import (
    LINEAR,
    MARGIN,
    NOISE,
    UNCHECKED,
    alignment_guarantee,
    fit_proportional,
    resampled,
)
from seqtant.steering.vectors.extraction import steered_blocks

CLOSE = 0.10
"""Largest relative distance between two strengths that counts as agreement."""
SHARES = (0.02, 0.05, 0.10)
"""Budgets at which the law of small strengths is held against what was measured."""
STRAIGHT = 0.99
"""Least R^2 of a straight line for the change of the logits to count as linear."""


@dataclass(frozen=True)
class _Halves:
    """What is measured to choose, and what verifies it."""

    fitting_bench: Bench
    fitting: StrengthMeasurements
    held_out: StrengthMeasurements
    coherence: Coherence
    budget: Budget
    generator: np.random.Generator


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
        halves = _Halves(
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
        _record_edge(record, config, halves, choice)
        _record_law(record, config, halves, choice)
        if config.positions != "all":
            record.warn("no exact slope: it is made for steering at all positions only")
        elif advised is not None:
            _record_curve(record, held_out_bench, halves, advised.strength)
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


def _record_advice(record: Recorder, config: ChooseConfig, halves: _Halves, advised: Candidate) -> None:
    """What the advised strength gains and costs: alignment and helpfulness of both halves, replies, divergence."""
    strength, held_out = advised.strength, halves.held_out
    held_out.add([strength])
    expected, gain = (
        mean(config.side * np.diff(half.alignment_at([0.0, strength]), axis=0)[0], unit="of alignment")
        for half in (halves.fitting, held_out)
    )
    before, after = held_out.alignment_at([0.0, strength]).mean(axis=1)
    lost = _loss(held_out, halves.budget, strength, config.resamples, halves.generator)
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
    apart = _apart(expected, gain)
    gains = gain.low is not None and gain.low > 0
    verdict: Verdict = "agrees" if gains and not apart else "inconclusive" if (gain.high or 1) > 0 else "disagrees"
    record.finding(
        "strength",
        "Which strength aligns best and keeps the budgets?",
        "disagrees" if apart else verdict,
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
    record: Recorder, config: ChooseConfig, candidates: list[Candidate], halves: _Halves, context: Context
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


def _loss(
    measured: StrengthMeasurements, budget: Budget, strength: float, resamples: int, generator: np.random.Generator
) -> Estimate:
    """Relative loss at a measured strength, with a paired bootstrap over items."""
    rows = measured.items_at([0.0, strength])
    drawn = resampled(rows.shape[1], resamples, generator) @ rows.T - budget.floor
    return percentile(
        relative_loss(measured, budget, strength),
        1 - drawn[:, 1] / drawn[:, 0],
        method="paired bootstrap over items",
        n=rows.shape[1],
    )


def _apart(one: Estimate, other: Estimate) -> bool:
    """Whether two intervals have nothing in common."""
    ends = (one.low, one.high, other.low, other.high)
    low, high, other_low, other_high = (float("nan") if end is None else end for end in ends)
    return high < other_low or other_high < low


def _record_edge(record: Recorder, config: ChooseConfig, halves: _Halves, choice: Choice) -> None:
    """The strength that spends the helpfulness budget, measured on one half, beside that of the other half."""
    held_out, strength = halves.held_out, choice.strength
    point = None
    if choice.limited:
        point = operating_point(
            held_out, halves.budget, strength.value, resamples=config.resamples, generator=halves.generator
        )
    held_out.add([strength.value])
    lost = _loss(held_out, halves.budget, strength.value, config.resamples, halves.generator)
    n = held_out.items.shape[1]
    for name, number in {
        "edge": strength.value,
        "edge_low": strength.low,
        "edge_high": strength.high,
        "edge_loss": lost.value,
        "operating_point": point.value if point else None,
        "items": n,
        "items_needed": choice.items_needed,
    }.items():
        record.value(name, number)
    record.items("helpfulness_unsteered", held_out.items_at([0.0])[0], kind="held-out item")
    there = f"; they lose the budget at {point.value:.4g}" if point else ""
    verdict: Verdict = "vacuous" if not choice.limited else "inconclusive"
    if point is not None:
        close = abs(strength.value / point.value - 1) <= CLOSE
        verdict = "agrees" if close else "disagrees" if _apart(strength, point) else "inconclusive"
    record.finding(
        "edge",
        f"Do other items lose {100 * config.budget:g} % at the same strength?",
        verdict,
        f"At {strength.value:.4g} held-out items lose {100 * lost.value:.2f} %{there}."
        if choice.limited
        else f"Up to the cap of {abs(strength.value):.4g} the budget is never spent; held-out items lose "
        f"{100 * lost.value:.2f} % there.",
        predicted=strength if choice.limited else None,
        measured=point,
        advice="At most this strength, whatever it gains." if choice.limited else "The budget is no limit here.",
    )
    if choice.items_needed > n:
        record.warn(f"{n} held-out items are few: {choice.items_needed} would tell the loss from the budget; give more")


def _record_law(record: Recorder, config: ChooseConfig, halves: _Halves, choice: Choice) -> None:
    """The law of small strengths beside what was measured on the same items, and its refit near the budget."""
    budget, law = halves.budget, choice.first_law
    rows = []
    for share in sorted({*SHARES, budget.share}):
        told, found = float(law.strength(share, budget.side)), crossing(halves.fitting, budget, share)
        known = np.isfinite(found) and np.isfinite(told)
        rows.append((share, told, found, told / found - 1 if known else None))
    for name, number in {
        "linear": choice.linear.value,
        "quadratic": choice.quadratic.value,
        "first_strength": choice.first if np.isfinite(choice.first) else None,
        "pure_quadratic_strength": choice.pure_quadratic if np.isfinite(choice.pure_quadratic) else None,
        "probe": choice.probe,
        **{f"law_error_{100 * share:g}": error for share, _, _, error in rows},
    }.items():
        record.value(name, number)
    record.table(
        "law",
        "The law of small strengths beside measured losses of the same items",
        ("budget", "strength by the law", "measured", "error"),
        [
            (
                share,
                *(round(value, 4) if np.isfinite(value) else None for value in (told, found)),
                error and round(error, 4),
            )
            for share, told, found, error in rows
        ],
    )
    _, told, found, error = next(row for row in rows if row[0] == budget.share)
    errors = ", ".join(f"{100 * e:+.0f} % at {100 * share:g} %" for share, _, _, e in rows if e is not None)
    missed: Verdict = "vacuous" if not np.isfinite(found) else "disagrees"
    record.finding(
        "law",
        "Do small strengths foretell the one that spends the budget?",
        missed if error is None else "agrees" if abs(error) <= CLOSE else "disagrees",
        f"Fitted up to {choice.probe:.3g}, the law errs by {errors}."
        if errors
        else f"Fitted up to {choice.probe:.3g}, the law sees no strength that spends these budgets.",
        predicted=Estimate(value=told, method=f"fitted up to {choice.probe:.3g}") if np.isfinite(told) else None,
        measured=Estimate(value=found, method="between measured strengths") if np.isfinite(found) else None,
        assumptions=(Assumption(statement=NOISE, how=UNCHECKED),),
        supporting=True,
    )
    told_loss = float(choice.law.loss(choice.strength.value))
    record.value("predicted_loss", told_loss)
    if choice.limited:
        measured = relative_loss(halves.fitting, budget, choice.strength.value)
        record.finding(
            "refit",
            "Does the law hold where it was fitted again?",
            "disagrees" if choice.bracketed else "agrees",
            f"Widened {choice.rounds} times, it tells a loss of {100 * told_loss:.2f} % at "
            f"{choice.strength.value:.4g}; the same items lose {100 * measured:.2f} %"
            + (": the strength was bracketed instead." if choice.bracketed else "."),
            supporting=True,
        )


def _record_curve(record: Recorder, bench: Bench, halves: _Halves, strength: float) -> None:
    """Alignment that the exact slope at 0 predicts along tanh, and what Theorem 1 guarantees, for the held-out half."""
    held_out = halves.held_out
    before, after = held_out.alignment_at([0.0, strength])
    slopes = alignment_gradients(bench).sum(axis=1)  # [prompts]
    # B(r) = tanh(arctanh B_0 + r B'(0) / (1 - B_0^2)): the S-curve with the exact slope at 0.
    odds = np.arctanh(np.clip(before, -1 + 1e-12, 1 - 1e-12))
    told = mean(np.tanh(odds + slopes * strength / np.maximum(1 - before**2, 1e-12)), unit="of alignment")
    found = mean(after, unit="of alignment")
    # Margins of these prompts at this strength, so that the theorem speaks of them and of it.
    sides: dict[str, list[list[np.ndarray]]] = {"good": [], "bad": []}
    for value in (0.0, strength):
        scores = next(scores for scores in held_out.readings if value in scores.strengths)
        for side, rows in sides.items():
            rows.append([own[scores.strengths.index(value)] for own in getattr(scores.behavior, side)])
    good, bad = ([np.stack(pair) for pair in zip(*rows, strict=True)] for rows in sides.values())
    worst, gaps = BehaviorScores((0.0, strength), good, bad).pair_gaps(strength)
    guaranteed = float(alignment_guarantee(strength, worst, before).mean())
    for name, number in {
        "slope": float(slopes.mean()),
        "predicted_alignment": told.value,
        "guaranteed_alignment": guaranteed,
        "worst_margin": float(worst.min()),
        "mean_gap": float(gaps.mean()),
    }.items():
        record.value(name, number)
    bound = "at least" if strength > 0 else "at most"
    record.finding(
        "alignment",
        "Does the slope at 0 foretell that alignment?",
        "disagrees" if _apart(told, found) else "agrees",
        f"Alignment {found.value:.3f} on held-out prompts; {told.value:.3f} along the S-curve of Theorem 1 with the "
        f"exact slope at 0, {bound} {guaranteed:.3f} by the worst pair of replies.",
        predicted=told,
        measured=found,
        assumptions=(
            Assumption(
                statement=MARGIN,
                status="holds" if worst.min() > 0 else "fails",
                how=f"worst gap {worst.min():.3g}, mean gap {gaps.mean():.3g} per unit strength",
            ),
        ),
        supporting=True,
    )


def _record_tables(record: Recorder, halves: _Halves, candidates: list[Candidate]) -> None:
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
