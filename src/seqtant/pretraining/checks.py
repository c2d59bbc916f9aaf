"""The checkup of this package: what a language model gains from related text, in context and by a gradient step."""

from __future__ import annotations

from os import PathLike
from typing import Any

from seqtant.errors import NothingToSayError
from seqtant.findings import Result
from seqtant.lm.folder import REFERENCE
from seqtant.rooms import config_type, dispatch
from seqtant.runs.context import Context


def check(model: str, context: Context, **inputs: Any) -> Result:
    """Compares the gain from related text in the context with that of one gradient step on it.

    The reference model is measured on stories of its own world, where the exact gain is known; other models on text of
    the user's own.

    Args:
        model: Hugging Face folder, hub name or ``reference``.
        context: Seed, device, folder and progress.
        **inputs: ``corpus``, one file or several with the user's own text, as in ``pretraining bias``.

    Raises:
        NothingToSayError: The model is not the reference model, and no text is given.
        InputError: The model or a file cannot be used.
    """
    corpus = inputs.get("corpus") or ()
    corpus = (str(corpus),) if isinstance(corpus, str | PathLike) else tuple(map(str, corpus))
    if model != REFERENCE and not corpus:
        raise NothingToSayError("text of your own to find related sentences in: --corpus TEXT (plain or JSON lines)")
    return dispatch(config_type("pretraining.bias")(model=model, corpus=corpus), context)
