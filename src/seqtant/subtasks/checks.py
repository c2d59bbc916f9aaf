"""What the checkup asks this room about a language model: what writing the steps buys, per number of steps."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result
from seqtant.lm.folder import REFERENCE
from seqtant.rooms import config_type, dispatch
from seqtant.runs.context import Context


def check(model: str, context: Context, **inputs: Any) -> Result | None:
    """Solves compound problems step by step and at once.

    The reference model solves the sums of its own world. Another model is checked on rows that the user gives; without
    them there is nothing to say.

    Args:
        model: Hugging Face folder, hub name or ``reference``.
        context: Seed, device, folder and progress.
        **inputs: ``rows``, as in ``subtasks eval``.

    Raises:
        InputError: The model or the rows cannot be used.
    """
    rows = inputs.get("rows")
    if model != REFERENCE and rows is None:
        return None
    return dispatch(config_type("subtasks.eval")(model=model, rows=rows, test_rows=100), context)
