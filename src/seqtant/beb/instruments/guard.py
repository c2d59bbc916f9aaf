"""Prices a guard (system) prompt: how many more sentences of attack each of its sentences costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from seqtant.beb.behavior.reader import ScorerCheck, prompt_lengths
from seqtant.beb.config import GuardConfig
from seqtant.beb.estimation.estimates import bootstrap_interval, cumulative_sums, halfway_length
from seqtant.beb.prompts.divergence import compute_evidence
from seqtant.beb.study.inputs import open_study, title_of, true_log_inverse_alpha
from seqtant.beb.study.measurement import ImpliedPosterior, Rates, implied_posterior, rescore, sample_rates
from seqtant.beb.study.reporting import CLOSE, DIRECTION, LIMITS, finite, prompt_lines, record_alpha, write_transcript
from seqtant.beb.study.summary import Summary, measure_and_summarize
from seqtant.beb.theory import bad_weight
from seqtant.findings import Cell, Estimate, Result
from seqtant.lm.interface import encode
from seqtant.lm.scoring import token_log_probs
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb

GUARDS, ATTACKS = 50, 150
"""Last parts of the seeds of guards and prompts; the length of the guard is added."""
OWN = "own"
"""Name of the guard that the user gave."""


@dataclass(frozen=True)
class GuardedPrompts:
    """Prompts from P- behind guards of one length, and what becomes of them."""

    name: str
    """Sentences of the guards, or :data:`OWN`."""
    sentences: float
    """Mean sentences of the guards."""
    against: Float[np.ndarray, " prompts"]
    """log P+/P- of each guard: what the prompt must make up for, in nats."""
    log_ratio: Float[np.ndarray, "prompts sentences"]
    """log P-/P+ of each sentence of the prompts."""
    lengths: tuple[int, ...]
    """Prompt lengths at which behavior was read."""
    curves: dict[str, Float[np.ndarray, "prompts lengths"]]
    """Behavior of ``model``, ``minus`` and ``plus``."""
    posterior: ImpliedPosterior
    check: ScorerCheck | None

    def halfway_lengths(
        self, rows: np.ndarray, log_inverse_alpha: float, rates: Rates = None
    ) -> tuple[float, float, float]:
        """Half-way lengths of some prompts: measured; predicted by Bayes' rule; by the model's own weights."""
        model, minus, plus = (
            rescore(self.check, self.curves[side][rows], rates) for side in ("model", "minus", "plus")
        )
        bottom = float(minus.mean())
        # The guard's log-ratio is taken off the prompt's.
        evidence = cumulative_sums(self.log_ratio[rows])[:, list(self.lengths)] - self.against[rows, None]
        weight = bad_weight(-max(log_inverse_alpha, 1e-9), evidence)
        return (
            halfway_length(model.mean(axis=0), bottom, self.lengths),
            halfway_length((weight * minus + (1 - weight) * plus).mean(axis=0), bottom, self.lengths),
            self.posterior.halfway_length(minus, plus, self.lengths, rows),
        )


@verb(GuardConfig)
def price_guards(config: GuardConfig, context: Context) -> Result:
    """Prices guard (system) prompts: how many more sentences of attack each of their sentences costs.

    Guards are sampled from P+, or are the user's own; behind each stands a prompt from P-. A guard takes its
    log-ratio log P+/P- off what the prompt brings; Theorem 2 allows beta'/beta sentences per sentence, and a margin.

    Returns:
        Half-way lengths behind each guard in sentences: measured, predicted from alpha, and by the weights that the
        model itself gives to P-; and the price of a guard sentence.

    Raises:
        InputError: A model cannot be opened, P- is missing, or guards and prompts do not fit the context.

    Example:
        >>> found = price_guards("world", lengths=[0, 2], prompts=12, sentences=16, resamples=50)
        >>> found.values["halfway_guard_2"] > found.values["halfway_guard_0"]
        True
    """
    title = f"What guard prompts cost an attack on {title_of(config.model)}"
    with Recorder("beb.guard", title, config, context, papers=(3,)) as record:
        study = open_study(config, context)
        measurement, summary, generator = measure_and_summarize(study, context)
        record_alpha(record, summary, true_log_inverse_alpha(study.config))
        # Each prompt has a guard of its own, sampled from P+ after the opening.
        openings: dict[str, list[tuple[int, ...]]] = {}
        for length in sorted(set(config.lengths)):
            openings[str(length)] = [study.opening] * config.prompts
            if length:
                starts = openings[str(length)]
                guards = study.sample(study.plus, GUARDS + length, openings=starts, sentences=length)
                openings[str(length)] = [prompt.ids for prompt in guards.prompts]
        if config.guard:
            own = encode(study.minus, [" " + config.guard], start=False)[0]
            openings[OWN] = [(*study.opening, *own)] * config.prompts
        # Prompts from P- behind each guard, and evidence and behavior along them.
        guarded: list[GuardedPrompts] = []
        for name, fronts in openings.items():
            # A seed of its own for the user's guard: 80, as if it had so many sentences.
            number = len(name) + 77 if name == OWN else int(name)
            sampled = study.sample(study.minus, ATTACKS + number, openings=fronts)
            (evidence,) = compute_evidence(study.minus, [study.plus], sampled.prompts, floor=study.config.floor)
            starts = [tuple(fronts[row]) for row in sampled.rows]
            # log P+/P- of the guard, given the opening; position i of the log-probabilities is token i + 1.
            begin, distinct = len(study.opening) - 1, list(dict.fromkeys(starts))
            plus, minus = (token_log_probs(model, distinct) for model in (study.plus, study.minus))
            ratios = {ids: float((p - m)[begin:].sum()) for ids, p, m in zip(distinct, plus, minus, strict=True)}
            lengths = prompt_lengths(study.reader, study.config.sentences)
            models = {"model": study.model, "minus": study.minus, "plus": study.plus}
            guarded.append(
                GuardedPrompts(
                    name,
                    sentences=float(
                        np.mean([len(study.splitter.ends(start, start=len(study.opening))) for start in starts])
                    ),
                    against=np.array([ratios[start] for start in starts]),
                    log_ratio=evidence.log_ratio,
                    lengths=lengths,
                    curves={
                        side: study.reader.curve(model, sampled.prompts, lengths) for side, model in models.items()
                    },
                    posterior=implied_posterior(study.model, study.minus, study.plus, sampled.prompts),
                    check=study.reader.check,
                )
            )
        _record(record, config, guarded, summary, generator)
        write_transcript(record, study, prompt_lines(study, measurement.prompts, guard="0"))
    return record.result


def _record(
    record: Recorder,
    config: GuardConfig,
    guarded: Sequence[GuardedPrompts],
    summary: Summary,
    generator: np.random.Generator,
) -> None:
    rows: list[tuple[Cell, ...]] = []
    # Behind each guard: measured, from alpha by Bayes' rule (None without one), from the model's own weights.
    found: dict[str, tuple[Estimate, Estimate | None, Estimate]] = {}
    alphas = summary.resampled["log_inverse_alpha"]
    for each in guarded:
        # All three lengths on the same resampled guards and prompts; alpha varies over its own resamples.
        count, resampled = len(each.against), []
        for number in range(config.resamples):
            picked, rates = generator.integers(count, size=count), sample_rates(each.check, generator)
            resampled.append(each.halfway_lengths(picked, alphas[number % len(alphas)], rates))
        values = each.halfway_lengths(np.arange(count), summary.alpha.log_inverse_alpha)
        measured, predicted, believed = (
            bootstrap_interval(value, list(column), count, "sentences", each.check)
            for value, column in zip(values, zip(*resampled, strict=True), strict=True)
        )
        given = None if summary.refused else predicted
        found[each.name] = (measured, given, believed)
        label = "your own" if each.name == OWN else each.name
        cells = [
            None if one is None or finite(one.value) is None else f"{replace(one, unit='').number} {one.interval}"
            for one in (given, believed, measured)
        ]
        rows.append((label, round(float(each.against.mean()), 3), *cells))
        record.value(f"halfway_guard_{each.name}", finite(measured.value))
        record.value(f"halfway_predicted_guard_{each.name}", given and finite(given.value))
        record.value(f"halfway_believed_guard_{each.name}", finite(believed.value))
        for n, value in zip(each.lengths, each.curves["model"].mean(axis=0), strict=True):
            record.measure("behavior", float(value), step=n, group=label)
    columns = ("guard sentences", "nats to make up", "half-way predicted", "by the model's own weights", "measured")
    record.table("guards", "Sentences of P- to the half-way point behind a guard", columns, rows, note=DIRECTION)
    plain = found["0"][0]
    behind = [each for each in guarded if each.name not in {"0", OWN} and finite(found[each.name][0].value) is not None]
    if not behind or finite(plain.value) is None:
        record.warn("the half-way point lies beyond the prompts: ask for more sentences")
        return
    _record_price(record, plain, {each.name: found[each.name] for each in behind}, behind[-1].sentences, summary)


def _record_price(
    record: Recorder,
    plain: Estimate,
    found: Mapping[str, tuple[Estimate, Estimate | None, Estimate]],
    sentences: float,
    summary: Summary,
) -> None:
    """Records what the longest guard, of so many sentences, costs an attack against ``plain``, no guard."""
    measured, predicted, _ = list(found.values())[-1]
    price = (measured.value - plain.value) / sentences
    # Theorem 2: beta_prime / beta sentences of attack per sentence of guard, and a margin.
    allowed = summary.estimates["beta_prime"].value / summary.estimates["beta"].value
    record.value("price_per_guard_sentence", price)
    record.value("price_theorem_2", allowed)
    # Only intervals that do not overlap show that the guard delays.
    pushed = measured.low is not None and plain.high is not None and measured.low > plain.high
    # Relative distances from the measured length, by guard.
    apart = {name: abs(bayes.value / length.value - 1) for name, (length, bayes, _) in found.items() if bayes}
    believed = {
        name: abs(own.value / length.value - 1)
        for name, (length, _, own) in found.items()
        if finite(own.value) is not None
    }
    shown, own = (
        ", ".join(f"{100 * value:.0f} % for {name}" for name, value in distances.items())
        for distances in (apart, believed)
    )
    words = "Nothing is predicted, because no log(1/alpha) can be given."
    if apart:
        words = f"Predicted and measured are apart by {shown} sentence{'' if list(apart) == ['1'] else 's'} of guard."
    if believed:
        words += f" With the weights that the model itself gives to P-, by any rule: {own}."
    record.finding(
        "guard",
        "How many sentences of attack does a guard sentence cost?",
        "inconclusive" if not apart else "agrees" if max(apart.values()) <= CLOSE else "disagrees",
        f"{price:.2f} (over {sentences:g} sentences; Theorem 2 allows {allowed:.2f} and a margin): the "
        f"half-way point moves from {plain.number} to {measured.number}{'' if pushed else '; the intervals overlap'}. "
        + words,
        predicted=predicted,
        measured=measured,
        assumptions=LIMITS,
        advice="A guard delays; it does not remove what the model holds.",
    )
