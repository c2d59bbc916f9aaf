"""What the page shows, laid out from results: lines of the summary strip, sections, embedded records."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import yaml

from seqtant.findings import Finding, Result, Verdict, to_json
from seqtant.report.figures import Figure
from seqtant.report.summary import Headline, headline, sections

MOST_RECORD_BYTES = 2_000_000
"""A record longer than this is embedded without its raw rows, which would make the page too large to send."""

UNFOLDED = 3
"""Findings of a section that are shown whatever they say."""

LONGEST_TABLE = 12
"""Rows of a table that is shown unfolded."""


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
    laid_out: list[Section] = []
    pairs = [(result, each) for result in results for each in sections(result)]
    for whole, each in pairs:
        # A part may carry the command of the run that called it: that one makes more than the part again.
        given = each.command if each is whole or each.command != whole.command else ""
        again = ["seqtant", *each.instrument.split("."), "--config", "settings.yaml", "--seed", str(each.seed)]
        # A single finding is not worth a click.
        quiet = [one for one in each.findings[UNFOLDED:] if one.verdict == "agrees" and not one.advice]
        quiet = quiet if len(quiet) > 1 else []
        figures: tuple[Figure, ...] = ()
        problem = ""
        try:
            figures = tuple(draw(each))
        except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
            # A record of another version may lack what today's drawings ask for.
            problem = f"The figures could not be drawn: {type(error).__name__}: {error}"
        laid_out.append(
            Section(
                anchor=f"run-{each.id}",
                result=each,
                shown=tuple(one for one in each.findings if one not in quiet),
                folded=tuple(quiet),
                figures=figures,
                command=given or shlex.join(again),
                settings=yaml.safe_dump(each.config, sort_keys=False, allow_unicode=True) if each.config else "",
                needs_file=not given,
                problem=problem,
            )
        )
    return laid_out


def finding_anchor(result: Result, finding: Finding) -> str:
    """Where the strip's line about one finding leads."""
    return f"run-{result.id}-{finding.key}"


def strip_lines(sections: Sequence[Section]) -> list[tuple[str, str, Headline]]:
    """Anchor, label and headline of each section; where there is only one section, of each of its findings."""
    if len(sections) == 1 and len(sections[0].result.findings) > 1:
        result = replace(sections[0].result, parts=())
        alone = ((finding, replace(result, findings=(finding,))) for finding in result.findings)
        return [(finding_anchor(result, finding), finding.question, headline(each)) for finding, each in alone]
    # What only holds others together has no answer of its own: its tables are on the page.
    asked = [each for each in sections if each.result.findings or not each.result.parts]
    return [(each.anchor, each.result.title, headline(replace(each.result, parts=()))) for each in asked]


def counts(results: Sequence[Result]) -> list[tuple[Verdict, int]]:
    """How many findings came to each verdict."""
    found = [finding.verdict for result in results for each in result.walk() for finding in each.findings]
    order: tuple[Verdict, ...] = ("agrees", "disagrees", "inconclusive", "vacuous")
    return [(verdict, found.count(verdict)) for verdict in order if verdict in found]


def records(results: Sequence[Result]) -> list[Record]:
    """The results to embed; the raw rows of one too long are left out, and their number is told."""
    kept: list[Record] = []
    for result in results:
        text = to_json(result)
        rows = sum(len(each.measurements) for each in result.walk()) if len(text) > MOST_RECORD_BYTES else 0
        kept.append(Record(id=result.id, json=to_json(_without_rows(result)) if rows else text, rows_left_out=rows))
    return kept


def _without_rows(result: Result) -> Result:
    return replace(result, measurements=(), parts=tuple(_without_rows(part) for part in result.parts))
