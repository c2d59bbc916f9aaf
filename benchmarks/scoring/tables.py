"""The README's tables, from the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqtant.report.markdown import put


def write_tables(page: Path, record: dict[str, Any]) -> None:
    """Replaces what stands between the marks of each table."""
    text = page.read_text(encoding="utf-8")
    made = {
        "scores": _scores(record["scores"]),
        "lengths": _lengths(record["lengths"]),
        "choices": _times(record["choices"]),
        "prefixes": _times(record["prefixes"]),
    }
    for name, rows in made.items():
        text = put(text, name, "\n".join(rows))
    page.write_text(text, encoding="utf-8")


def _seconds(row: dict[str, Any]) -> str:
    return f"{row['cpu_seconds']:.3f} ({row['fastest']:.3f} to {row['slowest']:.3f})"


def _scores(jobs: list[dict[str, Any]]) -> list[str]:
    rows = [
        "| network | way | CPU seconds | speed-up | share of peak | logits held |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for job in jobs:
        plain = job["times"]["plain loop"]["cpu_seconds"]
        for name, row in job["times"].items():
            held = job["logits_held"].get(name, "-")
            rows.append(
                f"| {job['size']} | {name} | {_seconds(row)} | {plain / row['cpu_seconds']:.2f} | "
                f"{row['share_of_peak']:.0%} | {held} |"
            )
    return rows


def _times(jobs: list[dict[str, Any]]) -> list[str]:
    rows = ["| network | way | CPU seconds | speed-up |", "| --- | --- | ---: | ---: |"]
    for job in jobs:
        plain = job["times"]["plain loop"]["cpu_seconds"]
        for name, row in job["times"].items():
            version = f" {row['version']}" if "version" in row else ""
            rows.append(f"| {job['size']} | {name}{version} | {_seconds(row)} | {plain / row['cpu_seconds']:.1f} |")
    return rows


def _lengths(jobs: list[dict[str, Any]]) -> list[str]:
    columns = [row["length"] for row in jobs[0]["lengths"]]
    rows = [
        "| network | way | " + " | ".join(f"{length} tokens" for length in columns) + " | slope |",
        "| --- | --- |" + " ---: |" * (len(columns) + 1),
    ]
    for job in jobs:
        for name, slope in job["slope_of_log_time_in_log_length"].items():
            cells = [f"{1000 * row['cpu_seconds_per_sequence'][name]:.2f}" for row in job["lengths"]]
            rows.append(f"| {job['size']} | {name} | " + " | ".join(cells) + f" | {slope:.2f} |")
    return rows
