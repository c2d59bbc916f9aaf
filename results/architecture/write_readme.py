"""Writes README.md of this folder from the records beside it: no number in it is typed by hand.

Run it as ``python results/architecture/write_readme.py`` after adding or replacing a record.
"""

from __future__ import annotations

from pathlib import Path

from seqtant.findings import Result, from_json
from seqtant.report.markdown import section

FOLDER = Path(__file__).parent


def page() -> str:
    """The text of the page."""
    records = {path.name: from_json(Result, path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
    parts = ["# Runs of the architecture instrument\n\nWritten by `write_readme.py` from the records in this folder."]
    return "\n\n".join([*parts, *(section(name, record, made(record)) for name, record in records.items())]) + "\n"


def made(record: Result) -> str:
    """How a record was made, and in what time."""
    environment = record.environment
    return (
        f"`{record.command}`, {record.created[:10]}, torch {environment.get('torch', '?')}, "
        f"{record.wall_seconds / 60:.0f} min wall and {record.cpu_seconds / 60:.0f} min of CPU "
        f"on {environment.get('processor', '?')}"
    )


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(page(), encoding="utf-8")
