"""What the checkup asks this room about a language model: how hard it may be steered for 5 % of helpfulness."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result
from seqtant.lm.folder import REFERENCE
from seqtant.rooms import config_type, dispatch
from seqtant.runs.context import Context


def check(model: str, context: Context, **inputs: Any) -> Result | None:
    """Chooses the strength for a budget of 5 %.

    The reference model is steered along the axis of its own personas and asked its own facts. Another model is checked
    where the user's inputs say what it should do; without them there is nothing to say.

    Args:
        model: Hugging Face folder, hub name or ``reference``.
        context: Seed, device, folder and progress.
        **inputs: ``vector`` or ``pairs``, ``behaviour`` and ``helpfulness``, as in ``steering choose``.

    Raises:
        InputError: The model or an input cannot be used.
    """
    given = {key: value for key, value in inputs.items() if key in _NEEDED and value is not None}
    if model != REFERENCE and not (given.keys() >= {"behaviour", "helpfulness"} and given.keys() & {"vector", "pairs"}):
        return None
    return dispatch(config_type("steering.choose")(model=model, **given), context)


_NEEDED = ("vector", "pairs", "behaviour", "helpfulness", "layers")
