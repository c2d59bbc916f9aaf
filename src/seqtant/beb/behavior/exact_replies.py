"""Behavior without sampling: exact probabilities of good and bad replies after every sentence of a prompt.

A prompt is read once. After each sentence the question branches off the cache, which is a value and stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from seqtant.beb.prompts.sampling import Prompt
from seqtant.errors import InputError
from seqtant.lm.batches import pad
from seqtant.lm.interface import CausalLM
from seqtant.lm.text import encode

ROWS = 32
"""Prompts read side by side."""


class Replies:
    """Behavior as the odds of given replies: (P(good) - P(bad)) / (P(good) + P(bad)), in [-1, 1].

    Args:
        question: Token ids after the prompt, before the reply; may be empty.
        good: Token ids of replies that count as +1.
        bad: Token ids of replies that count as -1.
    """

    check = None
    """Nothing is sampled and nothing scored: there are no errors of a scorer."""

    def __init__(self, question: Sequence[int], good: Sequence[Sequence[int]], bad: Sequence[Sequence[int]]) -> None:
        self.question, self._good, self._bad = list(question), good, bad
        self._texts: tuple[str, Sequence[str], Sequence[str]] | None = None
        self.tokens = len(self.question) + max(map(len, [*good, *bad]))

    @classmethod
    def of_texts(cls, model: CausalLM, question: str, good: Sequence[str], bad: Sequence[str]) -> Replies:
        """The same from texts.

        Args:
            model: A model whose tokenizer reads them.
            question: Text after the prompt, before the reply; may be empty.
            good: Replies that count as +1.
            bad: Replies that count as -1.

        Raises:
            InputError: Replies are missing or on both sides.
        """
        if not good or not bad:
            raise InputError("the scorer 'replies' needs good and bad replies: give behavior.good and behavior.bad")
        if set(good) & set(bad):
            raise InputError(f"the reply '{min(set(good) & set(bad))}' is both good and bad")
        sides = (encode(model, list(texts), start=False) for texts in (good, bad))
        made = cls(encode(model, [question], start=False)[0] if question else [], *sides)
        made._texts = (question, good, bad)
        return made

    def of_model(self, model: CausalLM) -> Replies:
        """The same question and replies in the tokens of another model."""
        return self if self._texts is None else Replies.of_texts(model, *self._texts)

    @torch.no_grad()
    def curve(
        self, model: CausalLM, prompts: Sequence[Prompt], places: Sequence[int]
    ) -> Float[np.ndarray, "prompts places"]:
        """Behavior of a model after some numbers of sentences of each prompt."""
        result = np.empty((len(prompts), len(places)))
        for begin in range(0, len(prompts), ROWS):
            group = prompts[begin : begin + ROWS]
            for column, (cache, logits) in enumerate(_walk(model, group, places)):
                result[begin : begin + len(group), column] = self._score(model, cache, logits)
        return result

    def _score(self, model: CausalLM, cache: Any, logits: Tensor) -> Float[np.ndarray, " prompts"]:
        if self.question:
            ids = torch.tensor(self.question, device=model.device).expand(logits.shape[0], -1)
            output = model.forward(ids, cache=cache, keep=1, use_cache=True)
            cache, logits = output.cache, output.logits[:, -1]
        sides = [
            torch.stack([_log_prob(model, cache, logits, reply) for reply in replies], dim=1).logsumexp(dim=1)
            for replies in (self._good, self._bad)
        ]
        return torch.tanh((sides[0] - sides[1]) / 2).cpu().numpy()


def _log_prob(model: CausalLM, cache: Any, logits: Tensor, reply: Sequence[int]) -> Float[Tensor, " rows"]:
    """Log-probability of one reply in every row."""
    total = torch.log_softmax(logits.double(), dim=-1)[:, reply[0]]
    if len(reply) > 1:
        ids = torch.tensor(reply, device=model.device).expand(logits.shape[0], -1)
        after = torch.log_softmax(model.forward(ids[:, :-1], cache=cache).logits.double(), dim=-1)
        total = total + after.gather(2, ids[:, 1:, None]).squeeze(2).sum(dim=1)
    return total


def _walk(model: CausalLM, prompts: Sequence[Prompt], places: Sequence[int]) -> Iterator[tuple[Any, Tensor]]:
    """The cache and the next-token scores after so many sentences of each prompt, places ascending."""
    cache, read = None, [0] * len(prompts)
    for place in places:
        heads = [prompt.upto(place) for prompt in prompts]
        new = [torch.tensor(head[done:], dtype=torch.long) for head, done in zip(heads, read, strict=True)]
        batch = pad(new, range(len(new)), model, side="left")
        output = model.forward(batch.input_ids, batch.mask, cache=cache, keep=1, use_cache=True)
        cache, read = output.cache, [len(head) for head in heads]
        yield cache, output.logits[:, -1]
