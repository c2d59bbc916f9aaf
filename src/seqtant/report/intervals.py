"""Prediction beside measurement as a small drawing that needs no script: two marks with their intervals on one axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seqtant.findings import Finding, format_number

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
        >>> from seqtant.findings import Estimate
        >>> finding = Finding(key="k", question="", verdict="agrees", summary="", predicted=Estimate.exact(2.0),
        ...                   measured=Estimate(value=2.1, low=1.8, high=2.4, method="t"))
        >>> [(mark.side, round(mark.at)) for mark in strip(finding).marks]
        [('predicted', 37), ('measured', 50)]
    """
    sides = [("predicted", finding.predicted), ("measured", finding.measured)]
    given = [(side, estimate) for side, estimate in sides if estimate is not None and math.isfinite(estimate.value)]
    if len(given) < 2 and not any(estimate.interval for _, estimate in given):
        return None
    ends = [end for _, each in given for end in (each.value, each.low, each.high) if end is not None]
    numbers = [end for end in ends if math.isfinite(end)]
    low, high = min(numbers), max(numbers)
    is_log = low > 0 and high / low > _LOG_FROM
    if is_log:
        low, high = math.log10(low), math.log10(high)
    room = 0.08 * (high - low) if is_log else 0.12 * (high - low) or 0.5 * abs(high) or 1.0
    start, end = low - room, high + room
    if is_log:
        powers = range(math.ceil(start), math.floor(end) + 1)
        ticks = [(10.0**power, format_number(10.0**power)) for power in powers[:: max(1, len(powers) // 5)]]
    else:
        # Three to six round numbers inside the range, with as many digits as tell them apart.
        rough = (end - start) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
        numbers = [number * step for number in range(math.ceil(start / step), math.floor(end / step) + 1)]
        largest = max(abs(start), abs(end))
        decimals = max(0, -math.floor(math.log10(step * 1.0001)))
        digits = max(1, 1 + math.ceil(math.log10(largest / step)))
        style = f".{decimals}f" if decimals <= 8 and largest < 1e6 else f".{digits}g"
        ticks = [(number, f"{number:{style}}") for number in numbers]

    def place(number: float) -> float:
        """The place of a number on the axis, in per cent."""
        if is_log:
            number = math.log10(number) if number > 0 else -math.inf
        return round(min(100.0, max(0.0, 100 * (number - start) / (end - start))), 2)

    marks: list[Mark] = []
    for side, estimate in given:
        at = place(estimate.value)
        # An open end runs to the edge; a number without an interval has no whisker.
        left, right = (0.0, 100.0) if estimate.interval else (at, at)
        low = left if estimate.low is None else place(estimate.low)
        high = right if estimate.high is None else place(estimate.high)
        marks.append(Mark(side, at, low, high, str(estimate)))
    words = "; ".join(f"{side} {estimate}" for side, estimate in given)
    return Strip(tuple(marks), tuple((place(tick), label) for tick, label in ticks), words)
