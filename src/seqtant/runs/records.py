"""Finished runs by name: from the store, or from a ``result.json`` that somebody sent."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from seqtant.errors import InputError
from seqtant.findings import Estimate, Result, from_json, to_json
from seqtant.runs.store import Store


def read_results(names: Sequence[str]) -> list[Result]:
    """Reads runs.

    Args:
        names: Each a stored id or its prefix, ``last``, or a file with one result or an array of them.
    """
    results: list[Result] = []
    for name in names:
        path = Path(name)
        if path.suffix != ".json" and not path.is_file():
            results.append(Store().load(name))
            continue
        if not path.is_file():
            raise InputError(f"no file '{path}': give a result.json, or the id of a stored run")
        try:
            data = json.loads(path.read_bytes())
        except ValueError as error:
            raise InputError(f"'{path}' is not JSON: {error}") from error
        try:
            results += [from_json(Result, json.dumps(each)) for each in (data if isinstance(data, list) else [data])]
        except InputError as error:
            raise InputError(f"'{path}': {error}") from error
    return results


Format = Literal["json", "jsonl", "csv"]

_NUMBERS = ("value", "low", "high", "level", "method", "unit")
COLUMNS: tuple[str, ...] = ("run", "instrument", "kind", "key", "step", "seed", "group", *_NUMBERS)


def export(results: Sequence[Result], format: Format) -> str:
    """Writes runs as text.

    Args:
        results: The runs.
        format: ``json`` is one array of full records, ``jsonl`` one full record a line, ``csv`` one row a number
            (values, both sides of each finding, raw rows, observed claims; parts of a run included).
    """
    if format == "json":
        return "[\n" + ",\n".join(to_json(result) for result in results) + "\n]\n"
    if format == "jsonl":
        return "".join(to_json(result) + "\n" for result in results)
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
    return {name: getattr(estimate, name) for name in _NUMBERS}
