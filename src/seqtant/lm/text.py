"""Between text and token ids, where the edges (the first token, the seam between prompt and answer) go wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def encode(model: CausalLM, texts: Sequence[str], *, start: bool = True) -> list[list[int]]:
    """Token ids of some texts.

    Args:
        model: The model, with its tokenizer.
        texts: The texts.
        start: Whether to put the model's beginning-of-sequence token in front, so that the first word is scored too.
            A model that has none begins with the text itself.

    Returns:
        Token ids per text.

    Raises:
        InputError: The model has no tokenizer.
    """
    tokenizer = tokenizer_of(model)
    if not texts:
        return []
    first = [model.bos_id] if start and model.bos_id is not None else []
    found = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
    return [[*first, *ids] for ids in found]


def decode(model: CausalLM, sequences: Sequence[Sequence[int]]) -> list[str]:
    """The text of some token ids, special tokens left out.

    Raises:
        InputError: The model has no tokenizer.
    """
    tokenizer = tokenizer_of(model)
    return [str(tokenizer.decode(list(ids), skip_special_tokens=True)) for ids in sequences]


def encode_continuations(
    model: CausalLM, prefix: str, continuations: Sequence[str], *, start: bool = True
) -> tuple[list[int], list[list[int]]]:
    """Token ids of one prefix and of its continuations, such that joined they are those of the joined text.

    Tokenizing the two apart would score a split that the model never sees: after ``"Answer: "`` the answer ``"yes"`` is
    one token ``" yes"``. The prefix ends where all joined texts still agree with it.

    Args:
        model: The model, with its tokenizer.
        prefix: The shared beginning.
        continuations: What may come after it.
        start: As for :func:`encode`.

    Returns:
        The ids of the prefix, and of each continuation.

    Raises:
        InputError: The model has no tokenizer, a continuation is empty, or nothing is left of the prefix.
    """
    if any(not text for text in continuations):
        raise InputError("a continuation is empty: there is nothing to score")
    alone, *joined = encode(model, [prefix, *(prefix + text for text in continuations)], start=start)
    shared = min((_agreeing(alone, ids) for ids in joined), default=len(alone))
    ends = [ids[shared:] for ids in joined]
    if not shared or not all(ends):
        raise InputError(
            f"the prefix {prefix!r} cannot be told from its continuations in tokens: give a longer prefix, or a model "
            "with a beginning-of-sequence token"
        )
    return alone[:shared], ends


def _agreeing(left: Sequence[int], right: Sequence[int]) -> int:
    """Number of tokens at the beginning that two sequences share."""
    same = (a == b for a, b in zip(left, right, strict=False))
    return next((number for number, equal in enumerate(same) if not equal), min(len(left), len(right)))


def tokenizer_of(model: CausalLM) -> PreTrainedTokenizerBase:
    """The model's tokenizer.

    Raises:
        InputError: It has none.
    """
    if model.tokenizer is None:
        raise InputError(f"'{model.name}' has no tokenizer: give token ids, or load it with one")
    return model.tokenizer
