"""``seqtant cite``: BibTeX of the papers, or of those a run stands on."""

from __future__ import annotations


def cite(run: str | None = None, /) -> None:
    """Print BibTeX of the nine papers, or of those a run stands on.

    Args:
        run: Id, a prefix of it, 'last', or a result.json; without it all nine.
    """
    from seqtant.report.citations import cited_by, papers, to_bibtex
    from seqtant.runs.records import read_results

    print(to_bibtex(papers() if run is None else cited_by(read_results([run]))))
