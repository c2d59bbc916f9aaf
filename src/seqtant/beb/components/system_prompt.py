"""A model that reads some text before everything else: a system prompt, shared by all rows through the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM, Keep, LMOutput, kept_positions


@dataclass(frozen=True)
class _Begun:
    """A cache that says so: the system prompt has been read."""

    inner: Any


class SystemPromptLM(CausalLM):
    """The conditional distribution of a model after a system prompt, as a model of its own.

    Where sequences begin with the beginning-of-sequence token, the system prompt stands right after it.

    Args:
        model: The model that reads it.
        system: Token ids of the system prompt, without beginning-of-sequence token.

    Raises:
        InputError: The system prompt is empty or leaves no room.

    Example:
        >>> from seqtant.lm import MarkovLM, token_log_probs
        >>> chain = MarkovLM([[0.9, 0.1], [0.2, 0.8]], bos_id=0)
        >>> token_log_probs(SystemPromptLM(chain, [1]), [[0, 1]])[0].exp()
        tensor([0.8000], dtype=torch.float64)
    """

    def __init__(self, model: CausalLM, system: Sequence[int]) -> None:
        if not system:
            raise InputError("the system prompt is empty: leave it out")
        self.inner = model
        self.name = f"{model.name} with a system prompt"
        self.vocabulary_size, self.tokenizer, self.device = model.vocabulary_size, model.tokenizer, model.device
        self.bos_id, self.eos_id, self.pad_id = model.bos_id, model.eos_id, model.pad_id
        self.context_length = None if model.context_length is None else model.context_length - len(system)
        if self.context_length is not None and self.context_length < 2:
            raise InputError(
                f"a system prompt of {len(system)} tokens leaves no room: '{model.name}' reads {model.context_length}"
            )
        start = [] if model.bos_id is None else [model.bos_id]
        ids = torch.tensor([[*start, *system]], device=model.device)
        with torch.no_grad():
            self._read = model.forward(ids, keep=1, use_cache=True)

    def forward(
        self,
        input_ids: Int[Tensor, "batch time"],
        attention_mask: Int[Tensor, "batch time"] | None = None,
        *,
        cache: _Begun | None = None,
        keep: Keep = None,
        use_cache: bool = False,
    ) -> LMOutput:
        """See :meth:`CausalLM.forward`."""
        if cache is not None:
            output = self.inner.forward(input_ids, attention_mask, cache=cache.inner, keep=keep, use_cache=use_cache)
            return LMOutput(output.logits, _Begun(output.cache) if use_cache else None)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        begins = self._beginnings(input_ids, mask)
        rows = torch.zeros(input_ids.shape[0], dtype=torch.long, device=input_ids.device)
        inner = self.inner.select_rows(self._read.cache, rows)
        # The sequence's own first token is masked: the system prompt's reading already holds one.
        output = self.inner.forward(input_ids, mask * ~begins, cache=inner, keep=keep, use_cache=use_cache)
        kept = kept_positions(keep, input_ids.shape[1], input_ids.device)
        logits = torch.where(begins[:, kept, None], self._first(output.logits), output.logits)
        return LMOutput(logits, _Begun(output.cache) if use_cache else None)

    def select_rows(self, cache: _Begun, rows: Int[Tensor, " selected"]) -> _Begun:
        """See :meth:`CausalLM.select_rows`."""
        return _Begun(self.inner.select_rows(cache.inner, rows))

    def _beginnings(self, input_ids: Tensor, mask: Tensor) -> Bool[Tensor, "batch time"]:
        first = (mask != 0) & (mask.cumsum(dim=1) == 1)
        if self.bos_id is None:
            return torch.zeros_like(first)
        return first & (input_ids == self.bos_id)

    def _first(self, like: Tensor) -> Float[Tensor, "1 1 vocabulary"]:
        """What comes right after the system prompt."""
        return self._read.logits[:, -1:].to(like)
