"""What the page shows, laid out from results: lines of the summary strip, sections, embedded records."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import yaml

from seqtant.findings import Finding, Result, Verdict, to_json
from seqtant.report.figures import Figure
from seqtant.report.summary import headline, sections

MOST_RECORD_BYTES = 2_000_000
"""A record longer than this is embedded without its raw rows, which would make the page too large to send."""

UNFOLDED = 3
"""Findings of a section that are shown whatever they say."""

LONGEST_TABLE = 12
"""Rows of a table that is shown unfolded."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the summary strip."""

    anchor: str
    """Where it leads."""
    verdict: Verdict | None
    failed: bool
    label: str
    number: str
    interval: str
    side: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """One instrument's part of the page."""

    anchor: str
    result: Result
    shown: tuple[Finding, ...]
    """Findings to read: the first ones, and all that do not simply agree."""
    folded: tuple[Finding, ...]
    """Findings that agree and advise nothing: a click away."""
    figures: tuple[Figure, ...]
    command: str
    """What makes this section again."""
    settings: str
    """Its configuration as YAML."""
    needs_file: bool
    """Whether ``command`` reads the settings from a file."""
    problem: str
    """Why the figures could not be drawn; empty where they could."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """The machine-readable result that the page carries."""

    id: str
    json: str
    rows_left_out: int


Draw = Callable[[Result], Sequence[Figure]]
"""Draws a result, see :func:`seqtant.instruments.figures`."""


def sections_of(results: Sequence[Result], draw: Draw) -> list[Section]:
    """The sections of a page, in order."""
    return [
        # A part may carry the command of the run that called it: that one makes more than the part again.
        _section(each, draw, own=each is result or each.command != result.command)
        for result in results
        for each in sections(result)
    ]


def _section(result: Result, draw: Draw, *, own: bool) -> Section:
    given = result.command if own else ""
    figures, problem = _figures_or_problem(result, draw)
    again = ["seqtant", *result.instrument.split("."), "--config", "settings.yaml", "--seed", str(result.seed)]
    shown, folded = _fold(result.findings)
    return Section(
        anchor=f"run-{result.id}",
        result=result,
        shown=shown,
        folded=folded,
        figures=figures,
        command=given or shlex.join(again),
        settings=yaml.safe_dump(result.config, sort_keys=False, allow_unicode=True) if result.config else "",
        needs_file=not given,
        problem=problem,
    )


def _fold(findings: Sequence[Finding]) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Parts findings into those to show and those to fold away; a single one is not worth a click."""
    quiet = [each for each in findings[UNFOLDED:] if each.verdict == "agrees" and not each.advice]
    if len(quiet) < 2:
        return tuple(findings), ()
    return tuple(each for each in findings if each not in quiet), tuple(quiet)


def _figures_or_problem(result: Result, draw: Draw) -> tuple[tuple[Figure, ...], str]:
    """The figures, or what went wrong: a record of another version may lack what today's drawings ask for."""
    try:
        return tuple(draw(result)), ""
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
        return (), f"The figures could not be drawn: {type(error).__name__}: {error}"


def finding_anchor(result: Result, finding: Finding) -> str:
    """Where the strip's line about one finding leads."""
    return f"run-{result.id}-{finding.key}"


def strip_lines(sections: Sequence[Section]) -> list[Line]:
    """A line per section; where there is only one section, a line per finding."""
    if len(sections) == 1 and len(sections[0].result.findings) > 1:
        result = replace(sections[0].result, parts=())
        alone = [(finding, replace(result, findings=(finding,))) for finding in result.findings]
        return [_line(each, finding_anchor(result, finding), finding.question) for finding, each in alone]
    # What only holds others together has no answer of its own: its tables are on the page.
    asked = [each for each in sections if each.result.findings or not each.result.parts]
    return [_line(replace(each.result, parts=()), each.anchor, each.result.title) for each in asked]


def _line(result: Result, anchor: str, label: str) -> Line:
    shown = headline(result)
    return Line(
        anchor=anchor,
        verdict=shown.verdict,
        failed=result.status == "failed",
        label=label,
        number=shown.number,
        interval=shown.interval,
        side=shown.side,
        answer=shown.answer,
    )


def counts(results: Sequence[Result]) -> list[tuple[Verdict, int]]:
    """How many findings came to each verdict."""
    found = [finding.verdict for result in results for each in result.walk() for finding in each.findings]
    order: tuple[Verdict, ...] = ("agrees", "disagrees", "inconclusive", "vacuous")
    return [(verdict, found.count(verdict)) for verdict in order if verdict in found]


def records(results: Sequence[Result]) -> list[Record]:
    """The results to embed; the raw rows of one too long are left out, and their number is told."""
    return [_record(result) for result in results]


def _record(result: Result) -> Record:
    text = to_json(result)
    rows = sum(len(each.measurements) for each in result.walk())
    if len(text) > MOST_RECORD_BYTES and rows:
        return Record(id=result.id, json=to_json(_without_rows(result)), rows_left_out=rows)
    return Record(id=result.id, json=text, rows_left_out=0)


def _without_rows(result: Result) -> Result:
    return replace(result, measurements=(), parts=tuple(_without_rows(part) for part in result.parts))
