"""Answers the checkup's question about a language model: does its shape suit the depth law?"""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result
from seqtant.rooms import config_type, dispatch
from seqtant.runs.context import Context


def check(model: str, context: Context, **inputs: Any) -> Result | None:
    """Audits the shape of a model.

    Args:
        model: Hugging Face folder or hub name.
        context: Seed, device, folder and progress.
        **inputs: What other packages need; this one needs nothing but the model.

    Raises:
        InputError: The model's configuration cannot be read.
    """
    return dispatch(config_type("architecture.audit")(model=model), context)
