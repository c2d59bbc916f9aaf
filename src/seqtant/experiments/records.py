"""Records that travel with the source, so that a clone need not make again what took minutes or hours."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import seqtant
from seqtant.errors import InputError
from seqtant.findings import Result, from_json
from seqtant.instruments import config_type, configs, instrument_of, run
from seqtant.packages import PACKAGES
from seqtant.runs.recorder import Context, environment
from seqtant.runs.store import Store
from seqtant.settings import build, config_hash, hash_of


def default_folder() -> Path | None:
    """``results`` of the checkout that the package runs from, else of the working directory; None if there is none."""
    checkout = Path(seqtant.__file__).parents[2]
    places = [checkout] if (checkout / "pyproject.toml").is_file() else []
    return next((place / "results" for place in (*places, Path.cwd()) if (place / "results").is_dir()), None)


class Records:
    """Results kept as JSON under a folder, each file one of them or an array of them.

    A record counts as one of today's configuration if, read with today's fields and their defaults, it is the same: a
    setting that came later was at its default when the record was made. Other files are passed over.

    Args:
        folder: Where to look, deep; None holds no record.

    Example:
        >>> Records(None).find("architecture.rank", "0123456789abcdef", seed=0) is None
        True
    """

    def __init__(self, folder: Path | None) -> None:
        if folder is not None and not folder.is_dir():
            raise InputError(f"no folder '{folder}': give one with records, or leave --records out")
        self.folder = folder

    def find(self, instrument: str, config_hash: str, *, seed: int) -> Result | None:
        """The newest sound record of a configuration, or None; see :func:`seqtant.settings.config_hash`."""
        found = [each for each in self._by_instrument.get(instrument, []) if each.get("seed", 0) == seed]
        sound = [each for each in found if each.get("status", "ok") == "ok" and _hash_of(each) == config_hash]
        newest = max(sound, key=lambda each: each["created"], default=None)
        return None if newest is None else from_json(Result, json.dumps(newest))

    @cached_property
    def _by_instrument(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for path in sorted(self.folder.rglob("*.json")) if self.folder is not None else []:
            try:
                data: Any = json.loads(path.read_bytes())
            except ValueError:
                continue  # whatever else lies in a folder named "results" is no record
            for record in data if isinstance(data, list) else [data]:
                if isinstance(record, dict) and {"instrument", "config", "created"} <= record.keys():
                    found.setdefault(record["instrument"], []).append(record)
        return found


def _hash_of(record: dict[str, Any]) -> str:
    """Hash of the configuration as today's class reads it; empty where it no longer does, as it is without a class."""
    name, _, verb = record["instrument"].partition(".")
    if name in PACKAGES and verb not in configs(name):
        return hash_of(record["config"])
    try:
        return config_hash(build(config_type(record["instrument"]), record["config"]))
    except InputError:
        return ""


def find_or_run(
    config: Any, context: Context, store: Store, *, records: Records | None = None, force: bool = False
) -> tuple[Result, bool]:
    """Finds the newest sound run of a configuration, or makes it.

    A configuration that names a file or a model counts as the same whatever that file holds now: after changing it,
    use ``force``.

    Args:
        config: Configuration of an instrument.
        context: Seed, device, folder, progress.
        store: Where to look first; a new run is not saved here.
        records: Where to look next, whatever version of the package made the record.
        force: Run even if there is one.

    Returns:
        The result, and whether it was found.
    """
    found = None
    if not force:
        instrument, key = instrument_of(config), config_hash(config)
        version = environment().get("seqtant", "")
        found = store.find(key, instrument=instrument, seed=context.seed, version=version)
        if found is None and records is not None:
            found = records.find(instrument, key, seed=context.seed)
    return (found, True) if found is not None else (run(config, context), False)
