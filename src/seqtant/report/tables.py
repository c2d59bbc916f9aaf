"""A table of a result in the forms people read: terminal and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Column
from rich.table import Table as RichTable
from rich.text import Text

from seqtant.findings import Cell, ClaimCheck, Estimate, Result, Table, format_number

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
