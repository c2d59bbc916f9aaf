"""A whole result as Markdown: the sections of the READMEs beside kept records are made of it."""

from __future__ import annotations

from collections.abc import Iterator

from seqtant.findings import Finding, Result
from seqtant.report.tables import to_markdown


def section(heading: str, result: Result, made: str) -> str:
    """One record: how it was made, what it found, what it warned of, its tables.

    Args:
        heading: Heading of the section, such as the record's file.
        result: The record.
        made: By what command, when, where and in what time, as a sentence without its stop.

    Example:
        >>> result = Result(instrument="demo.half", title="Half of three", id="0", created="", config={},
        ...                 config_hash="", warnings=("3 is odd",))
        >>> print(section("half.json", result, "`seqtant demo half`, 1 s"))
        ## half.json
        <BLANKLINE>
        Half of three. `seqtant demo half`, 1 s.
        <BLANKLINE>
        - warning: 3 is odd
    """
    said = [*map(_finding, result.findings), *(f"- warning: {warning}" for warning in result.warnings)]
    return "\n\n".join([f"## {heading}", f"{result.title}. {made}.", "\n".join(said), *_tables(result)])


def _finding(finding: Finding) -> str:
    measured = f" Measured {finding.measured}." if finding.measured else ""
    return f"- **{finding.verdict}**: {finding.question} {finding.summary}{measured}"


def _tables(result: Result) -> Iterator[str]:
    for table in result.tables:
        yield f"{table.title}:\n\n{to_markdown(table)}\n\n{table.note}".rstrip()
