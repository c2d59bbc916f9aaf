"""Finished runs by name: from the store, or from a ``result.json`` that somebody sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from seqtant.errors import InputError
from seqtant.findings import Result, from_json
from seqtant.runs.store import Store


def read_results(names: Sequence[str]) -> list[Result]:
    """Reads runs.

    Args:
        names: Each a stored id or its prefix, ``last``, or a file with one result or an array of them.

    Raises:
        InputError: There is no such run or file, or the file holds no result.
    """
    results: list[Result] = []
    for name in names:
        path = Path(name)
        if path.suffix == ".json" or path.is_file():
            results += read_file(path)
        else:
            results.append(Store().load(name))
    return results


def read_file(path: Path) -> list[Result]:
    """Reads a file that ``--out`` or ``runs export`` wrote.

    Raises:
        InputError: The file is missing or holds no result.
    """
    if not path.is_file():
        raise InputError(f"no file '{path}': give a result.json, or the id of a stored run")
    try:
        data = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"'{path}' is not JSON: {error}") from error
    try:
        return [from_json(Result, json.dumps(each)) for each in (data if isinstance(data, list) else [data])]
    except InputError as error:
        raise InputError(f"'{path}': {error}") from error
