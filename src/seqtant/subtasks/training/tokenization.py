"""The tokenizer of a model, with every fault of its folder told in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqtant.errors import InputError
from seqtant.lm.loading import load
from seqtant.lm.text import tokenizer_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(model: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder, a hub name, or ``reference``.

    Raises:
        InputError: There is none, or it cannot say where its tokens stand in the text.
    """
    tokenizer = tokenizer_of(load(model, device="cpu"))
    if not tokenizer.is_fast:
        raise InputError(f"the tokenizer of '{model}' cannot say where its tokens stand: give one with tokenizer.json")
    return tokenizer
