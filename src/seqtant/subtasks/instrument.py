"""The room's public door: one call for all its verbs."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result
from seqtant.rooms import dispatch
from seqtant.runs.context import Context


def run(config: Any, context: Context | None = None) -> Result:
    """Runs the instrument that a configuration of this room belongs to.

    Args:
        config: One of the classes in :data:`seqtant.subtasks.config.CONFIGS`.
        context: Seed, device, folder and progress; by default seed 0 and silence.

    Raises:
        InputError: The configuration belongs to no instrument, or its values do not fit.
    """
    return dispatch(config, context or Context())
