"""What the checkup asks this room about a language model: what it gains from related text, in context and by a step."""

from __future__ import annotations

from os import PathLike
from typing import Any

from seqtant.errors import NothingToSayError
from seqtant.findings import Result
from seqtant.lm.folder import REFERENCE
from seqtant.rooms import config_type, dispatch
from seqtant.runs.context import Context


def check(model: str, context: Context, **inputs: Any) -> Result:
    """Measures the gain from related text in the context against that of one gradient step on it.

    The reference model is told short stories of its own world, whose truth is known. Another model is measured on text
    of the user's own.

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
