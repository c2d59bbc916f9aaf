"""Prediction beside measurement as a small drawing that needs no script: two marks with their intervals on one axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from seqtant.findings import Estimate, Finding, format_number

_LOG_FROM = 30.0
"""Ratio of largest to smallest number from which the axis is logarithmic."""


@dataclass(frozen=True)
class Mark:
    """One side of a finding, placed on the axis in per cent of its length."""

    side: str
    at: float
    low: float
    """Where the whisker begins; equal to ``at`` where there is none."""
    high: float
    text: str


@dataclass(frozen=True)
class Strip:
    """What the template draws."""

    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, str], ...]
    """Place in per cent, and label."""
    words: str
    """The drawing in words."""


def strip(finding: Finding) -> Strip | None:
    """Lays out a finding's numbers; None where there is nothing to compare: one bare number, or an infinite one.

    Example:
        >>> finding = Finding(key="k", question="", verdict="agrees", summary="", predicted=Estimate.exact(2.0),
        ...                   measured=Estimate(value=2.1, low=1.8, high=2.4, method="t"))
        >>> [(mark.side, round(mark.at)) for mark in strip(finding).marks]
        [('predicted', 37), ('measured', 50)]
    """
    sides = [("predicted", finding.predicted), ("measured", finding.measured)]
    given = [(side, estimate) for side, estimate in sides if estimate is not None and math.isfinite(estimate.value)]
    if len(given) < 2 and not any(estimate.interval for _, estimate in given):
        return None
    numbers = [number for _, estimate in given for number in _finite(estimate)]
    scale, place = _axis(min(numbers), max(numbers))
    marks = tuple(_mark(side, estimate, place) for side, estimate in given)
    ticks = tuple((place(tick), label) for tick, label in scale)
    return Strip(marks, ticks, "; ".join(f"{side} {estimate}" for side, estimate in given))


def _finite(estimate: Estimate) -> Iterator[float]:
    for number in (estimate.value, estimate.low, estimate.high):
        if number is not None and math.isfinite(number):
            yield number


def _mark(side: str, estimate: Estimate, place: Callable[[float], float]) -> Mark:
    at = place(estimate.value)
    low = at if estimate.low is None else place(estimate.low)
    high = at if estimate.high is None else place(estimate.high)
    if estimate.interval:
        low = 0.0 if estimate.low is None else low
        high = 100.0 if estimate.high is None else high
    return Mark(side, at, low, high, str(estimate))


def _axis(low: float, high: float) -> tuple[Sequence[tuple[float, str]], Callable[[float], float]]:
    """Labeled ticks, and the function from a number to its place in per cent, with room left at both ends."""
    if low > 0 and high / low > _LOG_FROM:
        start, end = math.log10(low), math.log10(high)
        room = 0.08 * (end - start)
        powers = range(math.ceil(start - room), math.floor(end + room) + 1)
        stride = max(1, len(powers) // 5)
        return [(10.0**power, format_number(10.0**power)) for power in powers[::stride]], _placer(
            start - room, end + room, _safe_log
        )
    room = 0.12 * (high - low) or 0.5 * abs(high) or 1.0
    return _round_ticks(low - room, high + room), _placer(low - room, high + room, float)


def _safe_log(number: float) -> float:
    return math.log10(number) if number > 0 else -math.inf


def _placer(start: float, end: float, transform: Callable[[float], float]) -> Callable[[float], float]:
    def place(number: float) -> float:
        return round(min(100.0, max(0.0, 100 * (transform(number) - start) / (end - start))), 2)

    return place


def _round_ticks(low: float, high: float) -> Sequence[tuple[float, str]]:
    """Three to six round numbers inside the range, with as many digits as tell them apart."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    ticks = [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
    largest = max(abs(low), abs(high))
    decimals = max(0, -math.floor(math.log10(step * 1.0001)))
    digits = max(1, 1 + math.ceil(math.log10(largest / step)))
    style = f".{decimals}f" if decimals <= 8 and largest < 1e6 else f".{digits}g"
    return [(tick, f"{tick:{style}}") for tick in ticks]
