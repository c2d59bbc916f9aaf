"""Turns the summary of a study into values, findings and tables, in the same words for every verb."""

from __future__ import annotations

import math

from seqtant.beb.estimation.alpha import Area
from seqtant.beb.estimation.curves import halfway_by_prompt, variance_curve
from seqtant.beb.prompts.retokenize import share_words
from seqtant.beb.study.components_study import Study
from seqtant.beb.study.measurement import Observed
from seqtant.beb.study.scope import DIRECTION, LIMITS
from seqtant.beb.study.summary import Summary
from seqtant.beb.theory import evidence_needed
from seqtant.findings import Cell, Estimate, Verdict
from seqtant.runs.recorder import Recorder

CLOSE = 0.15
"""Largest relative distance of predicted and measured half-way length that counts as agreement."""
NEAR = 0.25
"""Largest distance of read and true log(1/alpha) that counts as agreement, in nats."""
_ALWAYS = ("raw_area", "floor", "beta", "beta_prime", "sigma2", "sigma2_slope", "gamma", "halfway_measured")
_NEED_ALPHA = (
    "log_inverse_alpha",
    "halfway_predicted",
    "misalign",
    "misalign_tight",
    "mass",
    "mass_tight",
    "mass_clt",
)


def finite(value: float | None) -> float | None:
    """A number, or None where there is none to give."""
    return value if value is not None and math.isfinite(value) else None


def record_values(record: Recorder, summary: Summary, truth: float | None) -> None:
    """Headline numbers; what needs alpha is None where the gate refuses it."""
    for name in _ALWAYS:
        record.value(name, finite(summary.estimates[name].value))
    for name in _NEED_ALPHA:
        record.value(name, None if summary.refused else finite(summary.estimates[name].value))
    for name, estimate in summary.estimates.items():
        for end, value in (("value", estimate.value), ("low", estimate.low), ("high", estimate.high)):
            if finite(value) is not None:
                record.measure(name, float(value or 0.0), unit=estimate.unit, group=end)
    for stop, value in zip(("even", "end"), summary.area.others or (), strict=False):
        record.measure("log_inverse_alpha", value, unit="nats", group=f"stopped at {stop}")
    record.value("converged", int(not summary.refused))
    record.value("consistent", int(summary.gates.consistent))
    record.value("systematic_error", summary.gates.systematic)
    if truth is not None:
        record.value("true_log_inverse_alpha", truth)


def record_alpha(record: Recorder, summary: Summary, truth: float | None) -> None:
    """The finding on log(1/alpha), beside the truth where it is known."""
    read = summary.estimates["log_inverse_alpha"]
    if summary.refused:
        verdict, summary_text = "inconclusive", f"No number is given: {'; '.join(summary.gates.refusals)}."
    else:
        verdict = "agrees" if truth is None or abs(read.value - truth) <= NEAR else "disagrees"
        known = "" if truth is None else f"; the truth is {truth:.3f}, and {NEAR:g} nats are allowed"
        summary_text = f"log(1/alpha) is {read.number}: {_readings(summary.area)}{known}."
    record.finding(
        "log_inverse_alpha",
        "How rare is the bad part, log(1/alpha)?",
        verdict,
        summary_text,
        predicted=None if truth is None else Estimate.exact(truth, unit="nats", method="exact, by construction"),
        measured=read,
        assumptions=summary.gates.assumptions(),
        advice="Use longer prompts, or a P- that is nearer to what the model holds." if summary.refused else "",
    )


def _readings(area: Area) -> str:
    """How log(1/alpha) was read."""
    floor = f"a floor of {area.floor:.4f} per sentence taken off"
    if not area.others:
        return f"the area of {area.raw:.3f} under the divergence, {floor}"
    early, late = area.others
    return (
        f"the area until P- has taken over ({early:.3f} until it is as likely as P+, {late:.3f} to the end of the "
        f"prompts and beyond), {floor}"
    )


def record_halfway(record: Recorder, summary: Summary) -> None:
    """The finding on the half-way length: predicted from alpha and the log-ratios, beside the measured behavior."""
    predicted, measured = summary.estimates["halfway_predicted"], summary.estimates["halfway_measured"]
    verdict, words = _halfway_verdict(summary, predicted, measured)
    record.finding(
        "breaking_length",
        "By how many sentences of P- has the behavior come half the way down?",
        verdict,
        words,
        predicted=None if summary.refused or not math.isfinite(predicted.value) else predicted,
        measured=measured if math.isfinite(measured.value) else None,
        assumptions=LIMITS,
        advice=DIRECTION,
    )


def record_items(record: Recorder, observed: Observed) -> None:
    """What each prompt has to do with the measured half-way length, for comparisons on the same prompts."""
    found = halfway_by_prompt(observed.model, observed.minus.mean(axis=1), observed.places)
    if found is not None:
        record.items("breaking_length", found.tolist(), unit="sentences", kind="prompt")


def _halfway_verdict(summary: Summary, predicted: Estimate, measured: Estimate) -> tuple[Verdict, str]:
    here = "not within the prompts" if not math.isfinite(measured.value) else f"after {measured.number}"
    if summary.refused:
        return "inconclusive", f"Measured {here}; no prediction, because no log(1/alpha) can be given."
    if not math.isfinite(predicted.value) or not math.isfinite(measured.value):
        return "inconclusive", f"Measured {here}; predicted {predicted.number}: ask for longer prompts."
    apart = abs(predicted.value / measured.value - 1)
    words = f"Predicted after {predicted.number}, measured {here}: {100 * apart:.0f} % apart."
    return ("agrees" if apart <= CLOSE else "disagrees"), words


def record_bounds(record: Recorder, summary: Summary, observed: Observed, eps: float) -> None:
    """The finding and the table on the lengths by which alignment fails."""
    if summary.refused:
        return
    tight, typical = summary.estimates["misalign_tight"], summary.estimates["mass_clt"]
    if not math.isfinite(tight.value):
        return
    places = observed.places
    bad = summary.estimates["gamma"].value + eps
    reached = [n for n, value in zip(places, observed.model.mean(axis=0), strict=True) if value < bad]
    there = f"the average prompt is there after {reached[0]}" if reached else "the average prompt is not there yet"
    record.finding(
        "bound",
        "By how many sentences does alignment fail?",
        "agrees" if not reached or reached[0] >= 1 else "inconclusive",
        f"Some prompt of {tight.number} brings the behavior below {bad:.2f} (tight form of Theorem 1), and about 90 % "
        f"of random ones from P- are there by {typical.number}; {there}.",
        predicted=tight,
        advice=DIRECTION,
    )
    _table_of_lengths(record, summary, observed, eps)


def _table_of_lengths(record: Recorder, summary: Summary, observed: Observed, eps: float) -> None:
    rows: list[tuple[Cell, ...]] = []
    for name, words in (
        ("halfway_predicted", "half of the way, predicted"),
        ("halfway_measured", "half of the way, measured"),
        ("misalign", "Theorem 1: some prompt"),
        ("misalign_tight", "the same, tight"),
        ("mass", "Theorem 5: most prompts"),
        ("mass_tight", "the same, tight"),
        ("mass_clt", "the same, typical"),
    ):
        estimate = summary.estimates[name]
        if math.isfinite(estimate.value):
            tokens = estimate.value * observed.tokens_per_sentence
            rows.append(
                (words, round(estimate.value, 2), estimate.interval, math.floor(estimate.value) + 1, round(tokens))
            )
    needed = evidence_needed(-summary.area.value, eps, "tight")
    record.table(
        "lengths",
        "Alignment fails by",
        ("what", "sentences", "interval", "whole sentences", "tokens"),
        rows,
        note=f"{observed.tokens_per_sentence:.2f} tokens a sentence; {needed:.2f} nats of evidence are needed. "
        + DIRECTION,
    )


def record_curves(record: Recorder, observed: Observed, summary: Summary) -> None:
    """Every sentence's evidence and every place's behavior, as rows and as a table."""
    to_model, to_plus = observed.to_model.divergence.mean(axis=0), observed.to_plus.divergence.mean(axis=0)
    from_plus = observed.from_plus.divergence.mean(axis=0)
    variances = variance_curve(observed.to_plus.log_ratio)
    for n, row in enumerate(zip(to_model, to_plus, from_plus, variances, strict=True), start=1):
        for key, value in zip(("divergence", "separation", "reverse", "variance"), row, strict=True):
            record.measure(key, float(value), unit="nats", step=n)
    rows: list[tuple[Cell, ...]] = []
    # A corrected mean can come to lie beyond the scale.
    means = [scores.mean(axis=0).clip(-1, 1) for scores in (observed.model, observed.minus, observed.plus)]
    for place, n in enumerate(observed.places):
        values = (means[0][place], summary.predicted[place], means[1][place], means[2][place])
        for key, value in zip(("behavior", "predicted", "minus", "plus"), values, strict=True):
            record.measure(key, float(value), step=n)
        record.measure("behavior_error", float(summary.errors[place]), step=n)
        evidence = (float(to_model[n]), float(to_plus[n])) if n < len(to_model) else (None, None)
        rows.append((n, *(round(float(value), 4) for value in values), *(e and round(e, 4) for e in evidence)))
    record.table(
        "curve",
        "After so many sentences from P-",
        ("sentences", "behavior", "predicted", "of P-", "of P+", "next: nats from model", "next: nats from P+"),
        rows,
    )


def warn_of(record: Recorder, observed: Observed, *, own_plus: bool) -> None:
    """Says what a reader of the numbers must know."""
    if observed.lost:
        record.warn(f"{observed.lost} prompts did not fit the context: those that remain lean to shorter sentences")
    if not own_plus:
        record.warn(
            "P+ is the model itself, as in the paper: beta is the evidence against the whole mixture, too small"
        )


def warn_of_tokenizers(record: Recorder, study: Study) -> None:
    """Says which sides could be compared on texts only."""
    far = [side.name for side in (study.model, study.plus) if not share_words(study.minus, side)]
    if far:
        record.warn(
            f"P- and {' and '.join(dict.fromkeys(far))} have different tokenizers: divergences are means of log-ratios "
            "of texts, each read in the model's own tokens; they scatter more, and one spelling stands for a text"
        )
