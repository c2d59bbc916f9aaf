"""A result on the terminal: the verdict first, prediction beside measurement, what to do; and its tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Column
from rich.table import Table as RichTable
from rich.text import Text

from seqtant.findings import Cell, ClaimCheck, ClaimVerdict, Estimate, Finding, Result, Table, Verdict, format_number
from seqtant.report.summary import SIGNS, headline

_PADDING = 2
_LEAST_TEXT = 12


def cell_text(value: Cell) -> str:
    """A cell for people.

    Example:
        >>> [cell_text(value) for value in (None, True, 0.123456, 110, 1324747200, "depth")]
        ['–', 'yes', '0.1235', '110', '1,324,747,200', 'depth']
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return format_number(value)
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)


def is_numeric(table: Table, column: int) -> bool:
    """Whether a column holds only numbers (and gaps), and so is set flush right."""
    cells = [row[column] for row in table.rows if row[column] is not None]
    return bool(cells) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells)


def values_table(result: Result) -> Table:
    """The headline numbers of a result."""
    rows = tuple((key, value) for key, value in result.values.items())
    return Table(name="values", title="Headline numbers", columns=("name", "value"), rows=rows)


def claims_table(checks: Sequence[ClaimCheck], made: Sequence[str] = ()) -> Table:
    """Published numbers beside ours; where given, also when each was observed."""
    columns = ("claim", "published", "observed", "interval", "verdict")
    rows: list[tuple[Cell, ...]] = []
    for check in checks:
        claim, observed = check.claim, check.observed
        published = Estimate(value=claim.published, unit=claim.unit).number
        number = None if observed is None else observed.number
        interval = None if observed is None else ("exact" if observed.is_exact else observed.interval or None)
        rows.append((claim.id, published, number, interval, check.verdict))
    if made:
        columns, rows = (*columns, "made"), [(*row, when or None) for row, when in zip(rows, made, strict=True)]
    return Table(name="claims", title="Published beside observed", columns=columns, rows=tuple(rows))


def to_markdown(table: Table) -> str:
    """A table for a README.

    Example:
        >>> print(to_markdown(Table(name="t", title="T", columns=("depth", "loss"), rows=((12, 0.5), (24, None)))))
        | depth | loss |
        | ---: | ---: |
        | 12 | 0.5 |
        | 24 | – |
    """
    marks = ["---:" if is_numeric(table, column) else "---" for column in range(len(table.columns))]
    lines = [table.columns, marks, *([cell_text(cell) for cell in row] for row in table.rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def print_table(console: Console, table: Table, most: int | None = None) -> None:
    """Prints a table; one too wide for the terminal is printed row by row, one of more than ``most`` rows is cut."""
    console.print(Text(table.title, style="bold"))
    rows = [[cell_text(cell) for cell in row] for row in table.rows[:most]]
    numeric = [is_numeric(table, column) for column in range(len(table.columns))]
    least: list[int] = []
    for column, (name, flush) in enumerate(zip(table.columns, numeric, strict=True)):
        widest = max((len(row[column]) for row in rows), default=0)
        longest_word = max((len(word) for word in name.split()), default=0)
        least.append(max(longest_word, widest if flush else min(widest, _LEAST_TEXT)))
    gaps = _PADDING * (len(least) - 1)
    if sum(least) + gaps <= console.width:
        drawn = RichTable(
            box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim", padding=(0, 1, 0, 0)
        )
        # Headings over numbers fold only where words would lose their room otherwise.
        whole = [max(room, len(name) * flush) for room, name, flush in zip(least, table.columns, numeric, strict=True)]
        least = whole if sum(whole) + gaps <= console.width else least
        for name, room, flush in zip(table.columns, least, numeric, strict=True):
            width = room if flush else None
            drawn.add_column(Text(name), justify="right" if flush else "left", width=width, overflow="fold")
        for row in rows:
            drawn.add_row(*(Text(cell) for cell in row))
    else:
        # Each row as lines of name and value.
        drawn = RichTable.grid(Column(style="dim", max_width=28), Column(overflow="fold"), padding=(0, 2, 0, 0))
        for row in rows:
            for name, cell in zip(table.columns, row, strict=True):
                drawn.add_row(Text(name), Text(cell))
            drawn.add_row("", "")
    console.print(drawn)
    if len(rows) < len(table.rows):
        console.print(Text(f"... and {len(table.rows) - len(rows)} more rows", style="dim"))
    if table.note:
        console.print(Text(table.note, style="dim"))


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
