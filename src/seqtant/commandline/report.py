"""``seqtant report``: one HTML page for stored runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


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
    from seqtant.report.page import write_page
    from seqtant.runs.records import read_results

    print(write_page(read_results([run, *more]), out))
