"""What the checkup asks this room about a language model: by how long a prompt its alignment fails."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result
from seqtant.lm.folder import REFERENCE
from seqtant.rooms import config_type, dispatch
from seqtant.runs.context import Context


def check(model: str, context: Context, **inputs: Any) -> Result | None:
    """Measures alpha, beta and the breaking length, with the measured curve on top.

    The reference model is held against its own world, whose weights are known. Another model is checked where the
    user's inputs name its ill-behaved part; without them there is nothing to say.

    Args:
        model: Hugging Face folder, hub name or ``reference``.
        context: Seed, device, folder and progress.
        **inputs: ``minus``, and what else ``beb measure`` takes.

    Raises:
        InputError: The model or an input cannot be used.
    """
    kind = config_type("beb.measure")
    given = {key: value for key, value in inputs.items() if key in kind.__dataclass_fields__ and value is not None}
    if model != REFERENCE and "minus" not in given:
        return None
    return dispatch(kind(model=model, **given), context)
