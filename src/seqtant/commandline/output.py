"""How commands that are no instruments print: tables for people, or one JSON value and nothing else."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json
from rich.console import Console

from seqtant.findings import Table
from seqtant.report.tables import print_table


def print_json(value: Any) -> None:
    """Prints one JSON value: plain data, dataclasses, paths; infinity as text."""
    print(to_json(value, inf_nan_mode="strings").decode())


def print_tables(*tables: Table) -> None:
    """Prints tables for people."""
    console = Console()
    for number, table in enumerate(tables):
        if number:
            console.print()
        print_table(console, table)
