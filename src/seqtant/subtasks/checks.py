"""The check of a language model in the checkup: what writing the steps gains, per number of steps."""

from __future__ import annotations

from typing import Any

from seqtant.errors import NothingToSayError
from seqtant.findings import Result
from seqtant.runs.recorder import Context
from seqtant.sources import ModelSource, is_reference


def check(model: ModelSource, context: Context, **inputs: Any) -> Result:
    """Solves compound problems step by step and at once.

    The reference model solves the sums of its own world. Another model solves the user's ``rows``, problems with their
    steps as in ``subtasks eval``.

    Raises:
        NothingToSayError: The model is not the reference model, and no rows are given.
        InputError: The model or the rows cannot be used.
    """
    rows = inputs.get("rows")
    if not is_reference(model) and rows is None:
        raise NothingToSayError(
            "problems with their steps, lines of 'input', 'steps' and 'answer', a hundred or more: --tasks FILE"
        )
    from seqtant.subtasks.config import EvalConfig
    from seqtant.subtasks.instruments.eval import evaluate

    return evaluate.run(EvalConfig(model=model, rows=rows, test_rows=100), context)
