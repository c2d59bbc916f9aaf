"""How commands that are no instruments print: tables for people, or one JSON value and nothing else."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json
from rich.padding import Padding
from rich.text import Text

from seqtant.commands.listing import Listing
from seqtant.findings import Table
from seqtant.report.tables import print_table
from seqtant.report.terminal import Terminal


def print_json(value: Any) -> None:
    """Prints one JSON value: plain data, dataclasses, paths; infinity as text."""
    print(to_json(value, inf_nan_mode="strings").decode())


def print_tables(*tables: Table) -> None:
    """Prints tables for people."""
    console = Terminal()
    for number, table in enumerate(tables):
        if number:
            console.print()
        print_table(console, table)


def print_listing(listing: Listing) -> None:
    """Prints a list for people: cells in columns, the sentence set in below them."""
    console = Terminal()
    console.print(Text(listing.title, style="bold"))
    cells = [each for each, _ in listing.entries]
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    for each, sentence in listing.entries:
        console.print(Text("  ".join(cell.ljust(width) for cell, width in zip(each, widths, strict=True)).rstrip()))
        console.print(Padding(Text(sentence, style="dim"), (0, 0, 0, 4), expand=False))
    if listing.note:
        console.print(Text(listing.note, style="dim"))
