"""A whole result as Markdown: the sections of the READMEs beside kept records are made of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from seqtant.findings import Result
from seqtant.report.terminal import to_markdown


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
    said: list[str] = []
    for finding in result.findings:
        measured = f" Measured {finding.measured}." if finding.measured else ""
        said.append(f"- **{finding.verdict}**: {finding.question} {finding.summary}{measured}")
    said += [f"- warning: {warning}" for warning in result.warnings]
    tables = [f"{table.title}:\n\n{to_markdown(table)}\n\n{table.note}".rstrip() for table in result.tables]
    return "\n\n".join([f"## {heading}", f"{result.title}. {made}.", "\n".join(said), *tables])


def put(page: str, name: str, text: str) -> str:
    r"""Puts a text between ``<!-- name -->`` and the next ``<!-- end -->``, on lines of its own.

    Raises:
        ValueError: The page does not hold that part once.

    Example:
        >>> put("seen\n<!-- cost -->\n3 s\n<!-- end -->\n", "cost", "2 s")
        'seen\n<!-- cost -->\n2 s\n<!-- end -->\n'
        >>> put("<!-- new -->\n<!-- end -->\nlater\n<!-- end -->\n", "new", "2 s")
        '<!-- new -->\n2 s\n<!-- end -->\nlater\n<!-- end -->\n'
    """
    part = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    filled, count = part.subn(lambda found: f"{found[1]}{text}\n{found[2]}", page)
    if count != 1:
        raise ValueError(f"{count} parts '{name}' where there must be one: no mark '<!-- {name} -->', or too many")
    return filled


def fill(page: Path, parts: Mapping[str, tuple[Callable[[], str], str]], folder: Path) -> None:
    """Fills those parts of a file that it has and that there are records for.

    Args:
        page: The file.
        parts: Name -> what writes the part, and a pattern of the records it needs, seen from ``folder``.
        folder: Where the records are.
    """
    text = page.read_text(encoding="utf-8")
    for name, (write, records) in parts.items():
        if f"<!-- {name} -->" in text and any(folder.glob(records)):
            text = put(text, name, f"\n{write()}\n")
    page.write_text(text, encoding="utf-8")
