"""JSON lines that a user wrote by hand: every fault is told with its file and line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqtant.errors import InputError, suggest


def read_lines(path: str, *, give: str = "a file of JSON lines") -> Iterator[tuple[str, dict[str, Any]]]:
    """Goes through the JSON objects of a file.

    Args:
        path: File with one JSON object per line; empty lines are skipped.
        give: What to give instead of a file that is not there.

    Yields:
        Where the object stands, for messages, and the object.

    Raises:
        InputError: The file is missing, not text, or empty, or a line is no JSON object.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"no file '{path}': give {give}")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not UTF-8 text (byte {error.start}): give a file of JSON lines") from error
    found = False
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        found = True
        place = f"'{path}', line {number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{place} is not JSON: {error.msg}") from error
        if not isinstance(record, dict):
            raise InputError(f"{place} holds no JSON object: write {{...}}")
        yield place, record
    if not found:
        raise InputError(f"'{path}' is empty: give at least one line")


def value_of(record: dict[str, Any], key: str, place: str) -> Any:
    """What stands under a key.

    Raises:
        InputError: It is missing.
    """
    if key not in record:
        raise InputError(f"{place} has no '{key}'{suggest(key, record)}: it has {', '.join(record) or 'nothing'}")
    return record[key]


def text_of(record: dict[str, Any], key: str, place: str) -> str:
    """The text under a key.

    Raises:
        InputError: It is missing, empty or no text.
    """
    value = value_of(record, key, place)
    if not isinstance(value, str) or not value:
        raise InputError(f"{place}: '{key}' is {value!r}: it must be a text that is not empty")
    return value


def texts_of(record: dict[str, Any], key: str, place: str, *, least: int = 1) -> tuple[str, ...]:
    """The list of different texts under a key.

    Raises:
        InputError: It is missing, too short, holds something else than texts, or holds one twice.
    """
    value = value_of(record, key, place)
    if not isinstance(value, list) or len(value) < least or not all(isinstance(v, str) and v for v in value):
        raise InputError(f"{place}: '{key}' must be a list of at least {least} text(s)")
    if len(set(value)) < len(value):
        raise InputError(f"{place}: '{key}' holds a text twice")
    return tuple(value)
