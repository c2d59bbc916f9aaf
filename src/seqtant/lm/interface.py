"""What every causal language model answers, so that instruments need not know which kind they hold.

A Hugging Face model, a mixture of models and an oracle with exact probabilities all answer one call, ``forward``.
Conventions that hold for all of them:

- The first token of a sequence is given, never scored; models that can start from nothing have a ``bos_id`` for it.
- Padding stands on the left: each row of a mask is zeros, then ones. Tokens after the end of a row need no mask,
  because no causal model lets them act on earlier positions; their outputs are simply not read.
- A cache is a value: ``forward`` returns a new one and leaves the one it was given as it was.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


Keep = int | Int[Tensor, " kept"] | None
"""Which positions get logits: None for all, an int for the last so many, or positions in ascending order."""


@dataclass(frozen=True)
class LMOutput:
    """What one forward pass returns."""

    logits: Float[Tensor, "batch kept vocabulary"]
    """Scores of the next token after each kept position; float32, or float64 from models that compute in it."""
    cache: Any = None
    """What the model needs to go on after the last position; None unless asked for."""


class CausalLM(ABC):
    """A causal language model over token ids.

    Attributes:
        name: What reports call it.
        vocabulary_size: Number of scores per position.
        context_length: Most tokens it can read; None where there is no limit.
        bos_id: Beginning-of-sequence token, or None.
        eos_id: End-of-sequence token, or None.
        pad_id: Token that fills masked positions; any valid id serves, since masked positions are never read.
        device: Where inputs must lie.
        tokenizer: Turns text into ids; None for models that know ids only.
    """

    name: str
    vocabulary_size: int
    context_length: int | None = None
    bos_id: int | None = None
    eos_id: int | None = None
    pad_id: int = 0
    device: torch.device = torch.device("cpu")
    tokenizer: PreTrainedTokenizerBase | None = None

    @abstractmethod
    def forward(
        self,
        input_ids: Int[Tensor, "batch time"],
        attention_mask: Int[Tensor, "batch time"] | None = None,
        *,
        cache: Any = None,
        keep: Keep = None,
        use_cache: bool = False,
    ) -> LMOutput:
        """Reads tokens and scores what comes after each.

        Args:
            input_ids: New tokens, (batch, time).
            attention_mask: 1 for real tokens, 0 for padding on the left, (batch, time), for the *new* tokens only (the
                cache remembers its own); None means all are real.
            cache: What an earlier call with ``use_cache=True`` returned for the same rows.
            keep: Positions (within the new tokens) whose logits are wanted.
            use_cache: Whether to return a cache.

        Returns:
            Logits (batch, kept, vocabulary) and the cache. Oracles return log-probabilities as logits.
        """

    @abstractmethod
    def select_rows(self, cache: Any, rows: Int[Tensor, " selected"]) -> Any:
        """The cache of some rows, in the given order and possibly repeated: how a shared prefix is expanded."""

    def hidden(
        self, input_ids: Int[Tensor, "batch time"], *, cache: Any = None
    ) -> Float[Tensor, "batch time width"] | None:
        """The states from which :meth:`head` makes the logits, each position's from its own; None if there are none.

        Lets scoring make the logits of a few positions at a time after one pass over the whole sequence.
        """
        return None

    def head(self, hidden: Float[Tensor, "positions width"]) -> Float[Tensor, "positions vocabulary"]:
        """The logits of some final hidden states, in any order.

        Raises:
            InputError: The model has no such states.
        """
        raise InputError(f"'{self.name}' has no hidden states: this needs a Hugging Face model")


def kept_positions(keep: Keep, time: int, device: torch.device) -> Int[Tensor, " kept"]:
    """Positions that a ``keep`` argument means, among ``time`` new tokens.

    Example:
        >>> kept_positions(2, 5, torch.device("cpu")).tolist()
        [3, 4]
    """
    if keep is None:
        return torch.arange(time, device=device)
    if isinstance(keep, int):
        if not 0 < keep <= time:
            raise InputError(f"cannot keep the logits of the last {keep} of {time} positions: keep 1 to {time}")
        return torch.arange(time - keep, time, device=device)
    if keep.numel() and (int(keep.min()) < 0 or int(keep.max()) >= time):
        raise InputError(f"positions to keep must lie in 0 to {time - 1}, got {keep.tolist()}")
    return keep.to(device)


_ROWS: ContextVar[Tensor | None] = ContextVar("rows", default=None)


@contextmanager
def reading_rows(rows: Int[Tensor, " batch"]) -> Iterator[None]:
    """Announces which of the caller's rows the rows of the next forward passes are.

    Batches are sorted by length and shrink during generation; a hook with one strength per row of the caller reads the
    order here, through :func:`current_rows`.
    """
    token = _ROWS.set(rows)
    try:
        yield
    finally:
        _ROWS.reset(token)


def current_rows() -> Int[Tensor, " batch"] | None:
    """The caller's row of each row of the forward pass under way; None outside scoring and generation.

    Example:
        >>> with reading_rows(torch.tensor([2, 0])):
        ...     current_rows().tolist()
        [2, 0]
    """
    return _ROWS.get()


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
    shared = common_length([alone, *joined])
    ends = [ids[shared:] for ids in joined]
    if not shared or not all(ends):
        raise InputError(
            f"the prefix {prefix!r} cannot be told from its continuations in tokens: give a longer prefix, or a model "
            "with a beginning-of-sequence token"
        )
    return alone[:shared], ends


def common_length(sequences: Sequence[Sequence[int]]) -> int:
    """Tokens at the beginning that all sequences have in common.

    Example:
        >>> common_length([[1, 2, 3], [1, 2, 4, 5], [1, 2]])
        2
    """
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*sequences, strict=False)))


def tokenizer_of(model: CausalLM) -> PreTrainedTokenizerBase:
    """The model's tokenizer."""
    if model.tokenizer is None:
        raise InputError(f"'{model.name}' has no tokenizer: give token ids, or load it with one")
    return model.tokenizer
