"""A result in one line: its verdict, its headline number with the interval, its answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from seqtant.findings import Result, Verdict, format_number

SIGNS: dict[Verdict, str] = {"agrees": "✓", "disagrees": "✗", "vacuous": "∅", "inconclusive": "?"}
"""A sign for each verdict, so that color never has to tell it alone."""

MEANINGS: dict[Verdict, str] = {
    "agrees": "prediction and measurement agree",
    "disagrees": "prediction and measurement disagree",
    "vacuous": "the bound holds but says nothing here",
    "inconclusive": "not enough data for a verdict",
}


@dataclass(frozen=True, kw_only=True)
class Headline:
    """One line of the summary strip."""

    result: Result
    verdict: Verdict | None
    answer: str
    """The answer in one sentence; empty without findings."""
    number: str = ""
    """The headline number with its unit; empty if there is none."""
    interval: str = ""
    """Its interval in brackets, ``exact``, or empty."""
    side: str = ""
    """``measured`` or ``predicted``; empty where the number is a plain value."""
    advice: str = ""
    """What to do about it; empty if there is none."""


def headline(result: Result) -> Headline:
    """The line that stands for a whole result: its first finding with the result's verdict.

    Example:
        >>> result = Result(instrument="demo.half", title="Half", id="0", created="", config={}, config_hash="",
        ...                 values={"half": 1.5})
        >>> headline(result).number
        'half 1.5'
    """
    told: Any = {"result": result, "verdict": result.verdict}
    if result.status == "failed":
        return Headline(answer=result.warnings[0] if result.warnings else "the run failed", **told)
    answers = [finding for finding in result.findings if not finding.supporting]
    own = [finding for finding in answers if finding.verdict == result.verdict] or list(result.findings)
    if not own:
        values = [(key, value) for key, value in result.values.items() if value is not None]
        number = f"{values[0][0].replace('_', ' ')} {format_number(values[0][1])}" if values else ""
        return Headline(answer="", number=number, **told)
    finding = next((each for each in own if each.measured or each.predicted), own[0])
    estimate = finding.measured or finding.predicted
    if estimate is None:
        return Headline(answer=finding.summary, advice=finding.advice, **told)
    return Headline(
        answer=finding.summary,
        number=estimate.number,
        interval="exact" if estimate.is_exact else estimate.interval,
        side="measured" if finding.measured else "predicted",
        advice=finding.advice,
        **told,
    )


def sections(result: Result) -> Iterator[Result]:
    """The results that get a section of their own: those that found something themselves, parts included."""
    for each in result.walk():
        if not each.parts or each.findings or each.tables or each.warnings or each.claims:
            yield each
