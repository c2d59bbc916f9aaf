"""Writes README.md of this folder from the records beside it: no number in it is typed by hand.

Run it as ``python results/pretraining/write_readme.py`` after adding or replacing a record.
"""

from __future__ import annotations

from pathlib import Path

from seqtant.findings import Result, from_json
from seqtant.report.tables import to_markdown

FOLDER = Path(__file__).parent


def page() -> str:
    """The text of the page."""
    records = {path.name: from_json(Result, path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
    parts = ["# Runs of the pretraining room\n\nWritten by `write_readme.py` from the records in this folder."]
    return "\n\n".join([*parts, *(section(name, record) for name, record in records.items())]) + "\n"


def section(name: str, record: Result) -> str:
    """One record: how it was made, what it found, its tables."""
    made = (
        f"{record.created[:10]}, {record.wall_seconds:.0f} s wall and {record.cpu_seconds:.0f} s of CPU in the main "
        f"process, on {record.environment.get('processor', '?')}, a machine that was busy with other work"
    )
    findings = [
        f"- **{finding.verdict}**: {finding.question} {finding.summary}"
        + (f" Measured {finding.measured}." if finding.measured else "")
        for finding in record.findings
    ]
    tables = [f"{table.title}:\n\n{to_markdown(table)}\n\n{table.note}".rstrip() for table in record.tables]
    return "\n\n".join([f"## {name}\n\n{record.title}. {made}.", "\n".join(findings), *tables])


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(page(), encoding="utf-8")
