"""Rows that a user gives, as JSON lines or in memory: every fault is told with its file and line, or its number."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqtant.errors import InputError, suggest
from seqtant.sources import Rows, is_path


def read_lines(
    source: Rows, *, give: str = "a file of JSON lines", fields: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Goes through rows: the JSON objects of a file, or what is in memory.

    Args:
        source: File with one JSON object per line (empty lines are skipped); or dictionaries, dataclasses, tuples,
            texts, a ``datasets.Dataset``, a data frame.
        give: What to give instead of a file that is not there.
        fields: Names of a tuple's elements; a row that is a text alone is the first of them.

    Yields:
        Where the row stands, for messages, and the row.
    """
    if is_path(source):
        yield from _read_file(str(source), give)
        return
    rows: Any = source
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):  # a data frame, whose iteration gives column names
        rows = rows.to_dict("records")
    number = 0
    for number, row in enumerate(rows, start=1):
        place = f"row {number}"
        if dataclasses.is_dataclass(row) and not isinstance(row, type):
            yield place, {name: value for name, value in vars(row).items() if value is not None}
        elif isinstance(row, Mapping):
            yield place, {str(name): value for name, value in row.items()}
        elif fields and isinstance(row, str):
            yield place, {fields[0]: row}
        elif fields and isinstance(row, tuple | list) and len(row) <= len(fields):
            yield place, dict(zip(fields, row, strict=False))
        else:
            wanted = f"({', '.join(fields)})" if fields else "a dictionary"
            raise InputError(f"{place} is {row!r:.60}: give {wanted}")
    if not number:
        raise InputError(f"there are no rows: give at least one, or {give}")


def _read_file(path: str, give: str) -> Iterator[tuple[str, dict[str, Any]]]:
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"no file '{path}': give {give}")
    found = False
    with file.open("rb") as stream:
        # In binary a line ends at a line feed only: U+2028 and its like may stand inside a text.
        for number, line in enumerate(stream, start=1):
            place = f"'{path}', line {number}"
            try:
                text = line.decode()
                if not text.strip():
                    continue
                found = True
                record = json.loads(text)
            except UnicodeDecodeError as error:
                raise InputError(f"{place} is not UTF-8 text (byte {error.start}): convert the file first") from error
            except json.JSONDecodeError as error:
                raise InputError(f"{place} is not JSON: {error.msg}") from error
            except (ValueError, RecursionError) as error:
                raise InputError(f"{place} is JSON that cannot be read: {error!s:.100}") from error
            if not isinstance(record, dict):
                raise InputError(f"{place} holds no JSON object: write {{...}}")
            yield place, record
    if not found:
        raise InputError(f"'{path}' is empty: give at least one line")


def value_of(record: dict[str, Any], key: str, place: str) -> Any:
    """What stands under a key."""
    if key not in record:
        raise InputError(f"{place} has no '{key}'{suggest(key, record)}: it has {', '.join(record) or 'nothing'}")
    return record[key]


def text_of(record: dict[str, Any], key: str, place: str) -> str:
    """The text under a key."""
    value = value_of(record, key, place)
    if not isinstance(value, str) or not value:
        raise InputError(f"{place}: '{key}' is {value!r}: it must be a text that is not empty")
    return value


def texts_of(record: dict[str, Any], key: str, place: str, *, least: int = 1) -> tuple[str, ...]:
    """The list of different texts under a key."""
    value = value_of(record, key, place)
    if not isinstance(value, list | tuple) or len(value) < least or not all(isinstance(v, str) and v for v in value):
        raise InputError(f"{place}: '{key}' must be a list of at least {least} text(s)")
    if len(set(value)) < len(value):
        raise InputError(f"{place}: '{key}' holds a text twice")
    return tuple(value)
