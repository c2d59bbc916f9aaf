"""Spending a word-error budget on latency: the largest weight whose errors, with their uncertainty, stay within it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seqtant.ctc.recognition.latency import Comparison, Timing, compare
from seqtant.ctc.recognition.recognizer import Recognizer


@dataclass(frozen=True)
class Trial:
    """One weight that was tried.

    Args:
        weight: The weight.
        change: What it changed on the development utterances.
        within: Whether the upper end of the word-error interval is within the budget.
        recognizer: The model it made.
    """

    weight: float
    change: Comparison
    within: bool
    recognizer: Recognizer


@dataclass(frozen=True)
class Purchase:
    """The outcome of a search.

    Args:
        trials: All weights tried, in order.
        best: The one that bought the most latency within the budget; None if none did.
    """

    trials: tuple[Trial, ...]
    best: Trial | None


def spend(
    budget: float,
    before: list[Timing],
    attempt: Callable[[float], tuple[Recognizer, list[Timing], bool]],
    *,
    first_weight: float,
    most_runs: int,
) -> Purchase:
    """Finds the largest weight within a budget: doubling until it is overspent, then bisecting on a log scale.

    Latency and word errors both rise with the weight, so the search is one-dimensional. A weight is within the budget
    if the upper end of the 95 % interval of the paired word-error change is.

    Args:
        budget: Percentage points of word error rate.
        before: Timings of the model to start from, on development utterances.
        attempt: Trains from that model with a weight; gives the new model, its timings, and whether it collapsed.
        first_weight: Where to begin.
        most_runs: Weights to try.
    """
    trials: list[Trial] = []
    good, bad = 0.0, float("inf")
    weight = first_weight
    while len(trials) < most_runs and (bad == float("inf") or bad > 1.15 * good):
        recognizer, after, collapsed = attempt(weight)
        change = compare(before, after)
        upper = change.wer.value if change.wer.high is None else change.wer.high
        within = not collapsed and upper <= budget
        trials.append(Trial(weight, change, within, recognizer))
        good, bad = (max(good, weight), bad) if within else (good, min(bad, weight))
        weight = 2 * good if bad == float("inf") else (good * bad) ** 0.5 if good else bad / 2
    bought = [trial for trial in trials if trial.within and trial.change.delay is not None]
    best = min(bought, key=lambda trial: trial.change.delay.value) if bought else None  # type: ignore[union-attr]
    return Purchase(tuple(trials), best)
