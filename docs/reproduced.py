"""Writes the page of reproduced numbers: what the papers published beside what our kept records observe.

``python docs/reproduced.py`` writes ``docs/reproduced.md`` from every package's ``claims.yaml``, the records under
``results/`` and the text in ``docs/reproduced.yaml``; a test fails where the page is not what this would write.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from seqtant.experiments.claims import Entry, kept_claims, read_claims
from seqtant.experiments.records import Records
from seqtant.findings import Claim, Estimate, Result, Table, from_json
from seqtant.report.citations import Paper, papers
from seqtant.report.terminal import to_markdown
from seqtant.settings import read_yaml

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "results"
NARRATIVE = FOLDER / "reproduced.yaml"

INTRODUCTION = """# What was reproduced

Every published number that we know of the nine papers, beside what an instrument of ours observes. Each observed
number comes from a record kept under `results/`; `seqtant claims check --paper N` makes the same comparison, and with
`--force` runs every instrument anew; numbers of a script are read from its record. A number is *reproduced* if it lies
within the tolerance that `seqtant claims list` shows; *unverified source* marks what could only be recalled: it is
never reproduced, whatever comes out. How a number was read: *text* in the paper, *code* in its published code or data,
*peer* in somebody else's work, *derived* from its definitions, *memory* recalled. What no instrument observes says why.

"""
LARGER = "needs a larger machine: `--scale gpu`"


def page() -> str:
    """The whole page."""
    entries = kept_claims(read_claims(), Records(RESULTS))
    sections = [section(paper, [e for e in entries if e.check.claim.paper == paper.number]) for paper in papers()]
    story = read_yaml(NARRATIVE)
    observed = {entry.check.claim.id: entry.check.observed for entry in entries}
    return (
        INTRODUCTION
        + overview(entries)
        + "\n".join(sections)
        + beyond(story["beyond"], observed.__getitem__)
        + (defects(story["defects"]))
    )


def overview(entries: Sequence[Entry]) -> str:
    """One row a paper: how many numbers stand how."""
    verdicts = ("reproduced", "not reproduced", "unverified source", "not run")
    rows: list[tuple[str | int, ...]] = []
    for paper in papers():
        own = [entry.check.verdict for entry in entries if entry.check.claim.paper == paper.number]
        rows.append((f"{paper.number}. {paper.title}", len(own), *(own.count(verdict) for verdict in verdicts)))
    table = Table(name="overview", title="", columns=("paper", "numbers", *verdicts), rows=tuple(rows))
    return to_markdown(table) + "\n\n"


def section(paper: Paper, entries: Sequence[Entry]) -> str:
    """One paper: what was observed, and what was not."""
    seen = [entry for entry in entries if entry.check.observed is not None]
    unseen = [entry for entry in entries if entry.check.observed is None]
    parts = [f"## {paper.number}. {paper.title}\n"]
    if seen:
        columns = ("claim", "published", "observed", "verdict", "scale", "record of")
        parts.append(to_markdown(Table(name="seen", title="", columns=columns, rows=tuple(map(seen_row, seen)))) + "\n")
    if unseen:
        columns = ("not observed", "published", "source", "why")
        rows = tuple(map(unseen_row, unseen))
        parts.append(to_markdown(Table(name="unseen", title="", columns=columns, rows=rows)) + "\n")
    return "\n".join(parts) + "\n"


def said(claim: Claim) -> str:
    """What is claimed and where it is printed."""
    return f"{claim.statement} ({claim.locator})"


def published(claim: Claim) -> str:
    """The published number with its unit."""
    return Estimate(value=claim.published, unit=claim.unit).number


def seen_row(entry: Entry) -> tuple[str, ...]:
    """A number with what was observed."""
    check = entry.check
    observed = check.observed or Estimate(value=0)
    shown = f"{observed.number} {'(exact)' if observed.is_exact else observed.interval}".strip()
    verdict = check.verdict if check.verdict == "reproduced" else f"**{check.verdict}**"
    stated = f"{published(check.claim)} ({check.claim.source})"
    return said(check.claim), stated, shown, verdict, check.claim.scale, entry.stored[:10]


def unseen_row(entry: Entry) -> tuple[str, ...]:
    """A number without."""
    claim = entry.check.claim
    reason = entry.reason or (LARGER if claim.scale == "gpu" else "not run yet")
    return said(claim), published(claim), claim.source, reason


def beyond(items: Sequence[Mapping[str, Any]], observed: Callable[[str], Estimate | None]) -> str:
    """What we found beyond or against the papers, each with its numbers and where our code shows it."""
    parts = ["## Beyond or against the papers\n"]
    for item in items:
        numbers = {name: number(place, observed) for name, place in item.get("numbers", {}).items()}
        text = " ".join(item["text"].split()).format(**numbers)
        parts.append(f"**{item['title']}** (paper {item['paper']}). {text} Shown by {places(item['shown_by'])}.\n")
    return "\n".join(parts) + "\n"


def places(shown_by: str) -> str:
    """Tests and records in code, words as they are."""
    words = shown_by.split(" ")
    return " ".join(f"`{word}`" if "/" in word or "." in word else word for word in words).replace(";`", "`;")


def number(place: Mapping[str, Any], observed: Callable[[str], Estimate | None]) -> str:
    """A value of a kept record, or what a claim's record observed.

    Raises:
        KeyError: The record has no such value, or the claim no record.
    """
    if "claim" in place:
        estimate = observed(place["claim"])
        if estimate is None:
            raise KeyError(f"claim '{place['claim']}' has no kept record")
        return plain(estimate)
    result = record(RESULTS / place["record"])
    value = result.values[place["value"]]
    around = [f.measured for f in result.findings if f.measured is not None and f.measured.value == value]
    estimate = around[0] if around else Estimate(value=float(value or 0))
    return plain(estimate)


def plain(estimate: Estimate) -> str:
    """A number with its interval and without its unit, which the text names; one-sided intervals are left out."""
    bare = replace(estimate, unit="")
    two_sided = all(end is not None and math.isfinite(end) for end in (bare.low, bare.high))
    return f"{bare.number} {bare.interval if two_sided else ''}".strip()


@cache
def record(path: Path) -> Result:
    """One kept record."""
    return from_json(Result, path.read_bytes())


def defects(items: Sequence[Mapping[str, str]]) -> str:
    """Defects of published code that a test of ours holds ours against."""
    rows = tuple((item["code"], item["what"], places(item["shown_by"])) for item in items)
    table = Table(name="defects", title="", columns=("code", "what it does", "ours is held against it by"), rows=rows)
    return "### Defects of published code that ours is tested for\n\n" + to_markdown(table) + "\n"


def named_tests(story: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """File and name of every test that the text names."""
    for item in (*story["beyond"], *story["defects"]):
        for word in item["shown_by"].replace(";", " ").split():
            if word.startswith("tests/"):
                path, _, name = word.partition("::")
                yield FOLDER.parent / path, name


if __name__ == "__main__":
    (FOLDER / "reproduced.md").write_text(page(), encoding="utf-8")
