"""The papers behind the instruments: who to cite for a run, as a line or as BibTeX."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import seqtant
from seqtant.errors import InputError
from seqtant.findings import Result
from seqtant.settings import build, read_yaml


@dataclass(frozen=True, kw_only=True)
class Paper:
    """One paper of the index."""

    number: int
    """Number in the paper index."""
    key: str
    """BibTeX key."""
    title: str
    authors: tuple[str, ...]
    """Full names, given name first."""
    year: int
    arxiv: str
    """Identifier, e.g. ``2006.12467``."""
    venue: str = ""
    """Proceedings, if it appeared in some."""
    journal: str = ""
    """Journal, if it appeared in one."""
    volume: str = ""
    pages: str = ""

    @property
    def url(self) -> str:
        """Where to read it."""
        return f"https://arxiv.org/abs/{self.arxiv}"

    @property
    def line(self) -> str:
        """The citation in one line."""
        last = [name.split()[-1] for name in self.authors]
        who = f"{last[0]} et al." if len(last) > 3 else ", ".join(last)
        where = self.venue or " ".join(part for part in (self.journal, self.volume, self.pages) if part)
        return f"{who} ({self.year}). {self.title.rstrip('.')}. {where + '. ' if where else ''}arXiv {self.arxiv}."


@cache
def papers() -> tuple[Paper, ...]:
    """The index of papers, by number.

    Example:
        >>> [paper.arxiv for paper in papers()][-2:]
        ['2006.12467', '1902.04057']
    """
    path = Path(seqtant.__file__).parent / "papers.yaml"
    found = [build(Paper, data, source=path.name) for data in read_yaml(path)["papers"]]
    return tuple(sorted(found, key=lambda paper: paper.number))


def cited_by(results: Iterable[Result]) -> tuple[Paper, ...]:
    """The papers that some results and their parts stand on, by number.

    Raises:
        InputError: A result names a paper that is not in the index.
    """
    numbers = {number for result in results for each in result.walk() for number in each.papers}
    unknown = numbers - {paper.number for paper in papers()}
    if unknown:
        raise InputError(f"paper {min(unknown)} is not in the paper index: it has 1 to {len(papers())}")
    return tuple(paper for paper in papers() if paper.number in numbers)


def to_bibtex(cited: Sequence[Paper]) -> str:
    """Papers as BibTeX.

    Example:
        >>> print(to_bibtex(papers()[3:4]))
        @inproceedings{wies2023learnability,
          title = {{The Learnability of In-Context Learning}},
          author = {Noam Wies and Yoav Levine and Amnon Shashua},
          year = {2023},
          booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
          eprint = {2303.07895},
          archiveprefix = {arXiv},
        }
    """
    entries: list[str] = []
    for paper in cited:
        kind = "inproceedings" if paper.venue else "article" if paper.journal else "misc"
        fields = {
            "title": f"{{{paper.title}}}",
            "author": " and ".join(paper.authors),
            "year": str(paper.year),
            "booktitle": paper.venue,
            "journal": paper.journal,
            "volume": paper.volume,
            "pages": paper.pages.replace("-", "--"),
            "eprint": paper.arxiv,
            "archiveprefix": "arXiv",
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        entries.append("\n".join([f"@{kind}{{{paper.key},", *lines, "}"]))
    return "\n\n".join(entries)
