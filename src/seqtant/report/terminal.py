"""A result on the terminal: the verdict first, prediction beside measurement, what to do, where the rest is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Column
from rich.table import Table as RichTable
from rich.text import Text

from seqtant.findings import ClaimCheck, ClaimVerdict, Finding, Result, Verdict
from seqtant.report.summary import SIGNS, headline
from seqtant.report.tables import cell_text, claims_table, print_table, values_table

STYLES: dict[Verdict, str] = {"agrees": "green", "disagrees": "red", "vacuous": "cyan", "inconclusive": "yellow"}

MOST_ROWS = 40
"""Longest table of a result printed whole; the page has all rows."""

CLAIM_STYLES: dict[ClaimVerdict, str] = {
    "reproduced": "green",
    "not reproduced": "red",
    "unverified source": "yellow",
    "not run": "dim",
}


def print_result(result: Result, page: Path | None = None, console: Console | None = None) -> None:
    """Prints a result for people; of a composite one, each part's answer: the page has the rest.

    Args:
        result: What to print.
        page: Where its HTML page is, if one was written.
        console: Where to print; by default standard output, without colors when that is no terminal.
    """
    console = console or Terminal()
    console.print(Rule(Text(result.title, style="bold"), align="left", style="dim"))
    if result.parts:
        console.print(_strip(result))
    for warning in result.warnings:
        console.print(_marked("!", warning, "yellow"))
    for finding in result.findings:
        console.print(Padding(_finding(finding), (0, 0, 1, 0)))
    tables = [(table, MOST_ROWS) for table in result.tables]
    if result.values and not (result.parts or result.findings or result.tables):
        tables = [(values_table(result), None)]
    for table, most in tables:
        print_table(console, table, most)
        console.print()
    if result.claims:
        print_claims(result.claims, console)
        console.print()
    footer = Text(f"run {result.id}  {result.wall_seconds:.1f} s", style="dim")
    if result.parts:
        footer.append("\nPredictions beside measurements, assumptions and tables are on the page.")
    if page is not None:
        footer.append("\npage ", style="dim").append(str(page), style="bold")
    else:
        footer.append(f"\npage: seqtant report {result.id} -o report.html")
    console.print(footer)


def badge(verdict: Verdict | None, status: str = "ok") -> Text:
    """A verdict as sign, word and color."""
    if status == "failed":
        return Text("! failed", style="bold red")
    if verdict is None:
        return Text("· done", style="dim")
    return Text(f"{SIGNS[verdict]} {verdict}", style=f"bold {STYLES[verdict]}")


def _strip(result: Result) -> RenderableType:
    """One line per part: verdict, instrument, number, and under it the answer."""
    grid = RichTable.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
    for part in result.parts:
        line = headline(part)
        number = " ".join(word for word in (line.number, line.interval) if word)
        first = Text.assemble((part.instrument, "bold"), f"  {number}" if number else "")
        grid.add_row(badge(part.verdict, part.status), first)
        if line.answer:
            grid.add_row("", Text(line.answer, style="dim"))
        if line.advice:
            grid.add_row("", _marked("→", line.advice, "bold"))
        for warning in part.warnings if part.status == "ok" else ():
            grid.add_row("", _marked("!", warning, "yellow"))
    return Padding(grid, (1, 0, 1, 0))


def print_claims(checks: Sequence[ClaimCheck], console: Console, made: Sequence[str] = ()) -> None:
    """Prints published numbers beside ours, two lines each, the verdict first; where given, when each was observed."""
    grid = RichTable.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2, 0, 0))
    table = claims_table(checks)
    for check, row, when in zip(checks, table.rows, made or [""] * len(checks), strict=True):
        name, published, observed, interval, verdict = (cell_text(cell) for cell in row)
        numbers = f"published {published}   observed {observed}" + (f" {interval}" if interval != "–" else "")
        numbers += f"   {when}" if when else ""
        body = Text.assemble((name, "bold"), (f"\n{numbers}", "dim"))
        grid.add_row(Text(verdict, style=CLAIM_STYLES[check.verdict]), body)
    console.print(Text(table.title, style="bold"))
    console.print(grid)


def _finding(finding: Finding) -> RenderableType:
    lines: list[RenderableType] = [Text(finding.summary)]
    if finding.predicted or finding.measured:
        basis = Column(style="dim")
        columns = [Column(style="dim", no_wrap=True), Column(style="bold", justify="right", no_wrap=True)]
        grid = RichTable.grid(*columns, Column(no_wrap=True), basis, padding=(0, 2, 0, 0))
        for name, estimate in (("predicted", finding.predicted), ("measured", finding.measured)):
            if estimate is not None:
                grid.add_row(name, Text(estimate.number), Text(estimate.interval), Text(estimate.basis))
        lines.append(grid)
    for assumption in finding.assumptions:
        if assumption.status != "holds":
            how = f" ({assumption.how})" if assumption.how else ""
            style = "red" if assumption.status == "fails" else "dim"
            lines.append(_marked("·", f"{assumption.status}: {assumption.statement}{how}", style))
    if finding.advice:
        lines.append(_marked("→", finding.advice, "bold"))
    question = Text.assemble(badge(finding.verdict), ("  " + finding.question, "bold"))
    return Group(question, Padding(Group(*lines), (0, 0, 0, 2)))


def _marked(mark: str, text: str, style: str) -> RenderableType:
    """A line with a mark before it, wrapped lines set in."""
    grid = RichTable.grid(Column(style=style, no_wrap=True), Column(style=style), padding=(0, 1, 0, 0))
    grid.add_row(mark, Text(text))
    return grid


class Terminal(Console):
    """Standard output; a reader that stops early (``| head``) is no failure of the command."""

    def on_broken_pipe(self) -> NoReturn:
        """Passes the broken pipe on to the command line, where rich would end the process with code 1."""
        raise BrokenPipeError
