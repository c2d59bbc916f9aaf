"""The world as a language model: the same calls as the trained model answers, with exact probabilities."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqtant.lm.interface import CausalLM, Keep, LMOutput, kept_positions
from seqtant.reference.tokenizer import build_tokenizer
from seqtant.reference.world.documents import NEVER
from seqtant.reference.world.vocabulary import BOS_ID, EOS_ID, PAD_ID
from seqtant.reference.world.world import World, WorldReading


class WorldLM(CausalLM):
    """Exact next-token log-probabilities of a world, or of one of its components, in float64.

    A token that cannot come scores minus infinity; what follows it has no defined probability, so the state before it
    is carried on, as for the other oracles.

    Args:
        world: The world, e.g. ``reference_world().component("talk", "gloomy")``.
        name: What reports call it.

    Example:
        >>> from seqtant.reference.world.world import reference_world
        >>> oracle = WorldLM(reference_world())
        >>> ids = torch.tensor([oracle.world.encode("book : the capital of france is")])
        >>> best = oracle.forward(ids, keep=1).logits[0, 0]
        >>> oracle.world.words(int(best.argmax())), round(float(best.max().exp()), 4)
        ('paris', 0.95)
    """

    bos_id, eos_id, pad_id = BOS_ID, EOS_ID, PAD_ID

    def __init__(self, world: World, *, name: str = "reference world") -> None:
        self.world, self.name = world, name
        self.vocabulary_size = world.vocabulary.size
        self.tokenizer = build_tokenizer(world.vocabulary, context_length=2**31)

    def forward(
        self,
        input_ids: Int[Tensor, "batch time"],
        attention_mask: Int[Tensor, "batch time"] | None = None,
        *,
        cache: list[WorldReading] | None = None,
        keep: Keep = None,
        use_cache: bool = False,
    ) -> LMOutput:
        """See :meth:`CausalLM.forward`; the cache is one reading per row."""
        batch, time = input_ids.shape
        readings = (
            [reading.copy() for reading in cache] if cache is not None else [self.world.read() for _ in range(batch)]
        )
        wanted = kept_positions(keep, time, input_ids.device)
        rows = np.stack(
            [
                _read(reading, ids.tolist(), None if attention_mask is None else attention_mask[row].tolist())
                for row, (reading, ids) in enumerate(zip(readings, input_ids, strict=True))
            ]
        )
        return LMOutput(torch.from_numpy(rows)[:, wanted], readings if use_cache else None)

    def select_rows(self, cache: list[WorldReading], rows: Int[Tensor, " selected"]) -> list[WorldReading]:
        """See :meth:`CausalLM.select_rows`."""
        return [cache[row].copy() for row in rows.tolist()]


def _read(reading: WorldReading, tokens: list[int], mask: list[int] | None) -> Float[np.ndarray, "time vocabulary"]:
    """Reads one row on and returns the log-probabilities after each of its tokens."""
    now = reading.log_probs()
    rows = np.empty((len(tokens), len(now)))
    for position, token in enumerate(tokens):
        if (mask is None or mask[position]) and now[token] > NEVER:
            reading.advance(token)
            now = reading.log_probs()
        rows[position] = now
    return rows
