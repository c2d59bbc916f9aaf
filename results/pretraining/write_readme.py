"""Writes README.md of this folder from the records beside it: no number in it is typed by hand.

Run it as ``python results/pretraining/write_readme.py`` after adding or replacing a record.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seqtant.findings import Result, Table, format_number, from_json
from seqtant.report.markdown import section
from seqtant.report.terminal import to_markdown

FOLDER = Path(__file__).parent
BENCHMARKS = FOLDER.parents[1] / "benchmarks" / "results"


def page() -> str:
    """The text of the page."""
    records = {path.name: from_json(Result, path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
    parts = ["# Runs of the pretraining room\n\nWritten by `write_readme.py` from the records in this folder."]
    parts += [section(name, record, made(record)) for name, record in records.items()]
    parts += [beside(path) for path in sorted(BENCHMARKS.glob("pretraining_*.json"))]
    return "\n\n".join(parts) + "\n"


def beside(path: Path) -> str:
    """One comparison or measurement of cost: every table of numbers in it."""
    content = json.loads(path.read_text(encoding="utf-8"))
    facts = [f"{key} {_plain(value)}" for key, value in content.items() if isinstance(value, str | int | float)]
    facts += [f"{key}: {_flat(content[key])}" for key in _SMALL if key in content]
    tables = [f"{name}:\n\n{table}" for name, table in _tables(content)]
    return "\n\n".join([f"## benchmarks/{path.stem}", "; ".join(facts) + ".", *tables])


_SMALL = ("slopes", "billion_core_hours_if_linear", "wall_seconds", "peer")


def _flat(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_plain(value)}" for key, value in values.items())


def _plain(value: Any) -> str:
    return format_number(value) if isinstance(value, float) else str(value)


def _tables(content: dict[str, Any]) -> list[tuple[str, str]]:
    rows = content.get("rows", {})
    groups = content.get("sets") or {"rows": rows if isinstance(rows, dict) else _scale_rows(rows)}
    return [(name, _table(group)) for name, group in groups.items() if group]


def _scale_rows(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        f"{row['count']:,}": {f"{name}, CPU s": each["cpu_seconds"] for name, each in row["stages"].items()}
        | {"recall@8": row["recall_at_8"], "peak GB": row["peak_bytes"] / 1e9}
        for row in rows
    }


def _table(group: dict[str, dict[str, Any]]) -> str:
    columns = tuple(dict.fromkeys(key for row in group.values() for key in row))
    rows = tuple((name, *(row.get(key) for key in columns)) for name, row in group.items())
    return to_markdown(Table(name="rows", title="", columns=("", *columns), rows=rows))


def made(record: Result) -> str:
    """How a record was made, and in what time."""
    return (
        f"{record.created[:10]}, {record.wall_seconds:.0f} s wall and {record.cpu_seconds:.0f} s of CPU in the main "
        f"process, on {record.environment.get('processor', '?')}, a machine that was busy with other work"
    )


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(page(), encoding="utf-8")
