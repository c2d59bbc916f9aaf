"""Writes the matrix of families: how each causal family of transformers is read, and how far its numbers are off.

``python docs/families_page.py`` writes ``docs/families.md`` from ``benchmarks/results/families.json``, which
``benchmarks/families/run.py`` measures.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "benchmarks" / "results" / "families.json"
SOURCE = "https://github.com/seqtant/seqtant/blob/main/benchmarks/families"

Row = dict[str, Any]

INTRODUCTION = """# Families of language models

Every class that transformers {transformers} maps to causal language models, made as a
[tiny random model]({source}) (torch {torch}, float32) and read in every way that Seqtant reads models.
Truth is one plain forward pass without a cache or padding. A probe at load finds out which ways are right for a
network; where a fast one is not, what came before is read again. Windows, chunks and selections of the tiny models are
shorter than the texts, so that the table shows what would otherwise show in long texts only.

{counts}

"""
VERDICTS = {
    "right": "right in every number (errors below {tolerance:g} nats, the same tokens, the exact count of parameters)",
    "refused": "refused in one line",
    "wrong": "wrong in some number",
    "fault": "ended by an error that is no refusal",
    "not built": "not built by transformers itself",
}
"""What a verdict means, in the order of the list."""
COLUMNS = ("family", "after a prefix", "batches", "largest error, nats", "tokens", "parameters")
MEANING = """
*After a prefix*: several tokens at once over its cache, one token at a time, or all read again. *Batches*: rows of
unlike length side by side, or only rows of one length. *Largest error*: over whole sequences, continuations of a shared
prefix and batches of unlike lengths. *Tokens*: greedy generation of three prompts side by side. *Parameters*: the
audit's total beside the network's. *Told*: what was refused or raised, by what was asked.
"""


def after_prefix(row: Row) -> str:
    """How tokens after a shared prefix are read."""
    if row["probe"].get("pieces"):
        return "at once"
    return "token by token" if row["probe"].get("steps") else "read again"


def told(row: Row) -> str:
    """What was refused or raised, or why nothing was built; empty where nothing was."""
    if "not_built" in row:
        return row["not_built"]
    lines: dict[str, list[str]] = {}
    for kind in ("refusals", "faults"):
        for what, line in row[kind].items():
            lines.setdefault(line, []).append(what)
    return "; ".join(f"{', '.join(what)}: {line}" for line, what in lines.items())


def cells(row: Row) -> Iterator[str]:
    """One line of the table."""
    yield f"`{row['family']}`"
    if "errors" not in row:
        yield from ("", "", "", "")
    else:
        yield after_prefix(row)
        yield "padded" if row["probe"]["padding"] else "equal lengths"
        errors = [row["errors"][name] for name in ("whole", "continuations", "batches")]
        known = [error for error in errors if error is not None]
        wrong = "**" if row["verdict"] == "wrong" and known and max(known) > 1e-4 else ""
        yield f"{wrong}{max(known):.1g}{wrong}" if len(known) == len(errors) else "not told"
        yield {True: "the same", False: "**other**", None: "not told"}[row["same_tokens"]]
    if row.get("audited") is None:
        yield ""
    else:
        exact = row["audited"] == row["parameters"]
        yield "exact" if exact else f"**{row['audited']:,} of {row['parameters']:,}**"


def table(rows: list[Row]) -> Iterator[str]:
    """All rows."""
    yield f"| {' | '.join(COLUMNS)} | told |"
    yield "| --- | --- | --- | ---: | --- | --- | --- |"
    for row in sorted(rows, key=lambda each: each["family"]):
        yield f"| {' | '.join(cells(row))} | {told(row).replace('|', chr(92) + '|').replace('<', '&lt;')} |"


def checkups(rows: list[Row]) -> Iterator[str]:
    """What the checkup said of the families whose sections did not all end, by what it said."""
    asked = [row for row in rows if "checkup" in row]
    if not asked:
        return
    said: dict[tuple[str, str], list[str]] = {}
    for row in asked:
        for section, line in row["checkup"].items():
            if line != "ok":
                said.setdefault((section, line), []).append(f"`{row['family']}`")
    failed = {family for names in said.values() for family in names}
    yield "\n## The checkup\n"
    yield (
        f"Of {len(asked)} families, the sections on the architecture and on steering ended well for "
        f"{len(asked) - len(failed)}. What the others said:\n"
    )
    yield "| section | families | told |"
    yield "| --- | --- | --- |"
    for (section, line), names in sorted(said.items()):
        prefix = f"{section} failed: "
        text = line.removeprefix(prefix).replace("|", "\\|").replace("<", "&lt;")
        yield f"| {section} | {', '.join(names)} | {text} |"


def pages() -> dict[str, str]:
    """File name -> content."""
    record = json.loads(RESULTS.read_text(encoding="utf-8"))
    rows: list[Row] = record["families"]
    counts = Counter(row["verdict"] for row in rows)
    lines = [f"- {counts[name]} of {len(rows)} {text}" for name, text in VERDICTS.items() if counts[name]]
    head = INTRODUCTION.format(
        transformers=record["transformers"],
        torch=record["torch"],
        source=f"{SOURCE}/README.md",
        counts="\n".join(lines).format(tolerance=record["tolerance"]),
    )
    return {"families.md": "\n".join([head + "\n".join(table(rows)), MEANING.rstrip(), *checkups(rows)]) + "\n"}


if __name__ == "__main__":
    for file, content in pages().items():
        (FOLDER / file).write_text(content, encoding="utf-8")
