"""The checkup of this package: what a language model gains from related text, in context and by a gradient step."""

from __future__ import annotations

from typing import Any

from seqtant.errors import NothingToSayError
from seqtant.findings import Result
from seqtant.runs.recorder import Context
from seqtant.sources import ModelSource, is_reference


def check(model: ModelSource, context: Context, **inputs: Any) -> Result:
    """Compares the gain from related text in the context with that of one gradient step on it.

    The reference model is measured on stories of its own world, where the exact gain is known; other models on text of
    the user's own.

    ``inputs`` may hold a ``corpus``: files with the user's own text, or documents in memory, as in ``bias``.

    Raises:
        NothingToSayError: The model is not the reference model, and no text is given.
        InputError: The model or a file cannot be used.
    """
    corpus = inputs.get("corpus") or ()
    if not is_reference(model) and not corpus:
        raise NothingToSayError("text of your own to find related sentences in: --corpus TEXT (plain or JSON lines)")
    from seqtant.pretraining.config import BiasConfig
    from seqtant.pretraining.instruments.bias import bias

    return bias.run(BiasConfig(model=model, corpus=corpus), context)
