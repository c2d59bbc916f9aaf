"""``seqtant claims``: what the papers published, beside what we observe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from cyclopts import App

from seqtant.commands.options import Flag, Whole
from seqtant.findings import Scale

app = App(name="claims", help="Published numbers beside ours.")


@app.command(name="list")
def list_claims(*, paper: Whole | None = None, package: str = "", json: Flag = False) -> None:
    """List what the papers published: value, tolerance, where it is printed, how we read it.

    Args:
        paper: Only claims of this paper.
        package: Only claims of this package.
        json: Print JSON.
    """
    from seqtant.commands.output import claims_listing, show
    from seqtant.experiments.claims import read_claims

    claims = read_claims(paper=paper, only=package)
    show(claims, claims_listing(claims), json=json)


@app.command
def check(
    *,
    paper: Whole | None = None,
    package: str = "",
    scale: Scale = "smoke",
    format: Literal["table", "json", "markdown"] = "table",
    json: Flag = False,
    records: Path | None = None,
    force: Flag = False,
    seed: Whole = 0,
    device: str = "auto",
) -> None:
    """Run what observes each claim (or take the stored run) and print published beside observed.

    Exit code 1 if a claim is not reproduced. A value that is only remembered is an unverified source, never reproduced.

    Args:
        paper: Only claims of this paper.
        package: Only claims of this package.
        scale: Largest scale to run.
        format: How to print.
        json: The same as --format json.
        records: Folder with kept records, taken where they fit; by default "results" of the source tree or of the
            working directory.
        force: Run again what is stored.
        seed: Seed of new runs.
        device: auto, cpu, cuda, cuda:1, or mps for training.
    """
    from rich.text import Text

    from seqtant.commands.builder import TerminalProgress, command_line
    from seqtant.commands.output import entries_note, made, print_json
    from seqtant.errors import GateError
    from seqtant.experiments.claims import check_claims, read_claims
    from seqtant.experiments.records import Records, default_folder
    from seqtant.report.terminal import Terminal, claims_table, print_claims, to_markdown
    from seqtant.runs.recorder import Context
    from seqtant.runs.store import Store

    claims = read_claims(paper=paper, only=package)
    with TerminalProgress() as progress:
        context = Context(seed=seed, device=device, progress=progress, command=command_line(sys.argv[1:]))
        kept = Records(records or default_folder())
        entries = check_claims(claims, context, Store(), records=kept, scale=scale, force=force)
    checks, when = [entry.check for entry in entries], [made(entry) for entry in entries]
    if json or format == "json":
        print_json(entries)
    elif format == "markdown":
        print(to_markdown(claims_table(checks, made=when)))
    else:
        console = Terminal()
        print_claims(checks, console, made=when)
        console.print(Text(entries_note(entries)))
    failed = [entry.check.claim.id for entry in entries if entry.failed]
    if failed:
        raise GateError(f"{len(failed)} of {len(entries)} claims failed: {', '.join(failed)}")
