"""``seqtant runs``: list, show, compare and export what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from seqtant.commands.options import Flag, Whole
from seqtant.runs.records import Format

app = App(name="runs", help="List, show, compare and export stored runs.")


@app.command(name="list")
def list_runs(*, instrument: str = "", limit: Whole = 20, parts: Flag = False, json: Flag = False) -> None:
    """List stored runs, the newest first.

    Args:
        instrument: Only this instrument (architecture.plan) or package (architecture).
        limit: At most so many.
        parts: Also runs that were made as a part of another run.
        json: Print JSON.
    """
    from seqtant.commands.output import runs_listing
    from seqtant.commands.output import show as show_listing
    from seqtant.runs.store import Store

    rows = Store().list(instrument=instrument, limit=limit, parts=parts)
    show_listing(rows, runs_listing(rows, instrument), json=json)


@app.command
def show(run: str, /, *, json: Flag = False) -> None:
    """Print a run again.

    Args:
        run: Id, a prefix of it, 'last', or a result.json.
        json: Print the whole record as JSON.
    """
    from seqtant.commands.output import print_json
    from seqtant.report.terminal import print_result
    from seqtant.runs.records import read_results

    for result in read_results([run]):
        if json:
            print_json(result)
        else:
            print_result(result)


@app.command
def compare(first: str, second: str, /, *, level: float = 0.95, json: Flag = False) -> None:
    """Print what two runs set differently, and by how much their numbers differ.

    Args:
        first: Id, prefix or result.json of the run to compare with.
        second: The run that is compared.
        level: Coverage of the intervals.
        json: Print JSON.
    """
    from seqtant.commands.output import show as show_tables
    from seqtant.runs.compare import compare as compare_runs
    from seqtant.runs.records import read_results

    before, after = (read_results([name])[0] for name in (first, second))
    comparison = compare_runs(before, after, level=level)
    facts = {"settings": comparison.settings, "differences": comparison.differences}
    show_tables(facts, *comparison.tables(), json=json)


@app.command
def export(
    run: str,
    /,
    *more: str,
    format: Format = "json",
    out: Annotated[Path | None, Parameter(name=["--out", "-o"])] = None,
) -> None:
    """Write runs for other programs.

    Args:
        run: Id, prefix or result.json.
        more: Further runs.
        format: An array of records, a record a line, or tidy rows.
        out: File to write; by default standard output.
    """
    from seqtant.runs.files import write_text
    from seqtant.runs.records import export as export_runs
    from seqtant.runs.records import read_results

    text = export_runs(read_results([run, *more]), format)
    if out is None:
        print(text, end="")
    else:
        write_text(out, text)
