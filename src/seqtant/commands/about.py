"""``seqtant report``, ``cite`` and ``env``: pages and references for stored runs, and what this installation has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from seqtant.commands.options import Flag


def report(
    run: str,
    /,
    *more: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("report.html"),
) -> None:
    """Write one self-contained HTML page for stored runs.

    Args:
        run: Id, a prefix of it, 'last', or a result.json.
        more: Further runs.
        out: File to write.
    """
    from seqtant.instruments import write_report
    from seqtant.runs.records import read_results

    print(write_report(read_results([run, *more]), out))


def cite(run: str | None = None, /) -> None:
    """Print BibTeX of the nine papers, or of those a run stands on.

    Args:
        run: Id, a prefix of it, 'last', or a result.json; without it all nine.
    """
    from seqtant.report.citations import cited_by, papers, to_bibtex
    from seqtant.runs.records import read_results

    print(to_bibtex(papers() if run is None else cited_by(read_results([run]))))


def env(*, json: Flag = False) -> None:
    """Print versions, machine, device, optional libraries and where runs are kept.

    Args:
        json: Print JSON.
    """
    from seqtant.commands.output import machine_tables, show
    from seqtant.runs.recorder import describe

    facts = describe()
    show(facts, *machine_tables(facts), json=json)
