"""Writes README.md of this folder from the records beside it: no number in it is typed by hand.

Run it as ``python results/beb/write_readme.py`` after adding or replacing a record.
"""

from __future__ import annotations

from pathlib import Path

from seqtant.findings import Result, Table, format_number, from_json
from seqtant.report.terminal import to_markdown

FOLDER = Path(__file__).parent


def page() -> str:
    """What was found, one line per finding; then how each record was made."""
    records = {path.stem: from_json(Result, path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
    found = [
        (name, finding.verdict, finding.summary.replace("|", "\\|"))
        for name, record in records.items()
        for finding in record.findings
    ]
    made = [
        (name, record.command, record.created[:10], f"{record.cpu_seconds:.0f} s", ", ".join(_values(record)))
        for name, record in records.items()
    ]
    tables = (
        Table(name="found", title="Found", columns=("record", "verdict", "what"), rows=tuple(found)),
        Table(name="made", title="Made", columns=("record", "command", "on", "CPU", "numbers"), rows=tuple(made)),
    )
    parts = [
        "# Runs of the room on breaking lengths\n\nWritten by `write_readme.py` from the records in this folder. The "
        "cases against which the allowance of the consistency test was held, none of them here, are in `stops`."
    ]
    return "\n\n".join([*parts, *(f"## {table.title}\n\n{to_markdown(table)}" for table in tables)]) + "\n"


def _values(record: Result) -> list[str]:
    wanted = ("log_inverse_alpha", "true_log_inverse_alpha", "halfway_predicted", "halfway_measured", "told_apart")
    return [
        f"{name.replace('_', ' ')} {format_number(float(record.values[name]))}"
        for name in wanted
        if record.values.get(name) is not None
    ]


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(page(), encoding="utf-8")
