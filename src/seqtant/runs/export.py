"""Stored runs as JSON, JSON lines or tidy CSV rows, for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from seqtant.findings import Estimate, Result, to_json

Format = Literal["json", "jsonl", "csv"]

COLUMNS: tuple[str, ...] = (
    "run",
    "instrument",
    "kind",
    "key",
    "step",
    "seed",
    "group",
    "value",
    "low",
    "high",
    "level",
    "method",
    "unit",
)


def export(results: Sequence[Result], format: Format) -> str:
    """Writes runs as text.

    Args:
        results: The runs.
        format: ``json`` is one array of full records, ``jsonl`` one full record a line, ``csv`` one row a number
            (values, both sides of each finding, raw rows, observed claims; parts of a run included).
    """
    writers: dict[str, Callable[[Sequence[Result]], str]] = {"json": _json, "jsonl": _jsonl, "csv": _csv}
    return writers[format](results)


def _json(results: Sequence[Result]) -> str:
    return "[\n" + ",\n".join(to_json(result) for result in results) + "\n]\n"


def _jsonl(results: Sequence[Result]) -> str:
    return "".join(to_json(result) + "\n" for result in results)


def _csv(results: Sequence[Result]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for result in results:
        for each in result.walk():
            writer.writerows({"run": each.id, "instrument": each.instrument} | row for row in rows(each))
    return text.getvalue()


def rows(result: Result) -> Iterator[dict[str, Any]]:
    """Every number of one run as a tidy row; parts are left out.

    Example:
        >>> result = Result(instrument="demo.half", title="Half", id="0", created="", config={}, config_hash="",
        ...                 values={"half": 1.5})
        >>> list(rows(result))
        [{'kind': 'value', 'key': 'half', 'seed': 0, 'value': 1.5}]
    """
    for key, value in result.values.items():
        yield {"kind": "value", "key": key, "seed": result.seed, "value": value}
    for finding in result.findings:
        for kind, estimate in (("predicted", finding.predicted), ("measured", finding.measured)):
            if estimate is not None:
                yield {"kind": kind, "key": finding.key, "seed": result.seed} | _numbers(estimate)
    for row in result.measurements:
        place = {"step": row.step, "seed": row.seed, "group": row.group}
        yield {"kind": "measurement", "key": row.key, "value": row.value, "unit": row.unit} | place
    for check in result.claims:
        if check.observed is not None:
            yield {"kind": "claim", "key": check.claim.id, "seed": result.seed} | _numbers(check.observed)


def _numbers(estimate: Estimate) -> dict[str, Any]:
    names = ("value", "low", "high", "level", "method", "unit")
    return {name: getattr(estimate, name) for name in names}
