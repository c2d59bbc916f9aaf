"""The manifest beside the weights: how they were made, from what, how long it took, what they were measured to do."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from seqtant.errors import InputError
from seqtant.findings import Result, to_json

MANIFEST = "manifest.json"


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model folder but the manifest itself, by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != MANIFEST and not path.name.startswith(".")
    }


def read_manifest(folder: Path | None = None) -> dict[str, Any]:
    """The manifest of a model folder; by default of the model that ships.

    Raises:
        InputError: There is none.

    Example:
        >>> sorted(read_manifest())[:3]
        ['check', 'command', 'config']
    """
    place = files("seqtant.reference") / "weights" / MANIFEST if folder is None else folder / MANIFEST
    if not place.is_file():
        raise InputError(f"'{place}' does not exist: the folder was not made by 'seqtant reference train'")
    return json.loads(place.read_text(encoding="utf-8"))


def check_record(result: Result) -> dict[str, Any]:
    """What a check found, as the manifest keeps it: values, findings with their intervals, tables."""
    record = json.loads(to_json(result))
    return {key: record[key] for key in ("config", "seed", "values", "findings", "tables")}
