"""What the checkup asks steering about a language model: how hard it may be steered for a share of helpfulness."""

from __future__ import annotations

from typing import Any

from seqtant.errors import NothingToSayError
from seqtant.findings import Result
from seqtant.runs.recorder import Context
from seqtant.sources import REFERENCE, ModelSource


def check(model: ModelSource, context: Context, **inputs: Any) -> Result:
    """Chooses the strength for a budget of helpfulness.

    The reference model is steered along the axis of its own personas and asked its own facts. Another model is checked
    where the user's inputs say what it should do.

    Args:
        model: Hugging Face folder, hub name or ``reference``; or a model in memory.
        context: Seed, device, folder and progress.
        **inputs: ``vector`` or ``pairs``, ``behavior``, ``helpfulness``, ``layers`` and ``budget``, as in
            ``steering choose``.

    Raises:
        NothingToSayError: The model is not the reference model, and an input is missing.
        InputError: The model or an input cannot be used.
    """
    given = {key: value for key, value in inputs.items() if key in _TAKEN and value is not None}
    missing = [need for keys, need in _NEEDED.items() if not given.keys() & set(keys)]
    if missing and str(model) != REFERENCE:
        raise NothingToSayError(f"JSON lines of {', '.join(missing)}: --behavior FILE")
    from seqtant.steering.config import ChooseConfig
    from seqtant.steering.instruments.choose import choose_strength

    return choose_strength.run(ChooseConfig(model=model, **given), context)


_NEEDED = {
    ("vector", "pairs"): "contrast pairs (positive, negative)",
    ("behavior",): "prompts with replies (prompt, good, bad)",
    ("helpfulness",): "questions (prompt, options, answer)",
}
"""Inputs of which one is needed, and what they are in the checkup's file."""
_TAKEN = (*(key for keys in _NEEDED for key in keys), "layers", "budget")
