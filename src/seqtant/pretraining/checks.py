"""What the checkup asks this room about a language model: what it gains from related text, in context and by a step."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result
from seqtant.rooms import config_type, dispatch
from seqtant.runs.context import Context


def check(model: str, context: Context, **inputs: Any) -> Result | None:
    """Measures the gain from related text in the context against that of one gradient step on it.

    Args:
        model: Hugging Face folder, hub name or ``reference``.
        context: Seed, device, folder and progress.
        **inputs: ``corpus``, files with the user's own text; without them short stories in simple English words.

    Raises:
        InputError: The model or a file cannot be used.
    """
    given = {"corpus": inputs["corpus"]} if inputs.get("corpus") else {}
    return dispatch(config_type("pretraining.bias")(model=model, **given), context)
