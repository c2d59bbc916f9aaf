"""A run that was made before is not made again: same configuration, seed and version of the package."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result
from seqtant.rooms import dispatch, verb_of
from seqtant.runs.context import Context
from seqtant.runs.environment import environment
from seqtant.runs.store import Store
from seqtant.settings import config_hash


def find_or_run(config: Any, context: Context, store: Store, *, force: bool = False) -> tuple[Result, bool]:
    """Finds the newest sound run of a configuration, or makes it.

    A configuration that names a file or a model counts as the same whatever that file holds now: after changing it,
    use ``force``.

    Args:
        config: Configuration of an instrument.
        context: Seed, device, folder, progress.
        store: Where to look; a new run is not saved here.
        force: Run even if there is one.

    Returns:
        The result, and whether it was found.
    """
    instrument = ".".join(verb_of(config))
    version = environment().get("seqtant", "")
    if not force:
        found = store.find(config_hash(config), instrument=instrument, seed=context.seed, version=version)
        if found is not None:
            return found, True
    return dispatch(config, context), False
