"""A run that was made before is not made again: same configuration, seed and version of the package."""

from __future__ import annotations

from typing import Any

from seqtant.experiments.records import Records
from seqtant.findings import Result
from seqtant.instruments import instrument_of, run
from seqtant.runs.context import Context
from seqtant.runs.environment import environment
from seqtant.runs.store import Store
from seqtant.settings import config_hash


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
    found = None if force else _find(config, context, store, records)
    return (found, True) if found is not None else (run(config, context), False)


def _find(config: Any, context: Context, store: Store, records: Records | None) -> Result | None:
    instrument, key = instrument_of(config), config_hash(config)
    version = environment().get("seqtant", "")
    found = store.find(key, instrument=instrument, seed=context.seed, version=version)
    if found is None and records is not None:
        found = records.find(instrument, key, seed=context.seed)
    return found
