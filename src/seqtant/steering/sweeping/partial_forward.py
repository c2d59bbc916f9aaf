"""Leaves out of a pass what nobody reads: in the last block, what it makes of tokens after which nothing is scored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm.decoder import ReachedError, replaced, with_hidden
from seqtant.lm.hooks import decoder_blocks
from seqtant.lm.huggingface import HuggingFaceCache, HuggingFaceLM
from seqtant.lm.layers import BlockStates, read_from
from seqtant.steering.applying.output_projection import last_matrix


def read_keys(model: HuggingFaceLM, states: BlockStates) -> HuggingFaceCache:
    """Keys and values of the blocks above some states, as :func:`seqtant.lm.layers.read_from` makes them.

    The last block stops as soon as it has stored its own: its attention and its feed-forward layer, most of its cost,
    would only make states that nobody reads.
    """
    block = decoder_blocks(model)[-1]
    whole: Any = block.forward

    def forward(hidden: Tensor, *inputs: Any, **named: Any) -> Any:
        past: Any = next((value for value in (*inputs, *named.values()) if hasattr(value, "layers")), None)
        if past is None:
            return whole(hidden, *inputs, **named)
        past.update = _raising(past)
        try:
            return whole(hidden, *inputs, **named)
        except ReachedError:
            return with_hidden(states.output, hidden)
        finally:
            del past.update

    with replaced(block, forward):
        return read_from(model, states)


def _raising(past: Any) -> Any:
    """A cache's ``update`` that ends the pass, but not where a block keeps more, such as a recurrent state."""
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    store = past.update

    def update(*states: Any, **named: Any) -> Any:
        stored = store(*states, **named)
        if type(past.layers[-1]) in {DynamicLayer, DynamicSlidingWindowLayer}:
            raise ReachedError
        return stored

    return update


@contextmanager
def unscored(model: HuggingFaceLM, tokens: int) -> Iterator[None]:
    """While it lasts, the last block's feed-forward layer leaves out so many tokens at the beginning of each row.

    Their final states mean nothing; those of all others are what they are. Where the layer is no plain one (a mixture
    of experts, or one that is given more than states), nothing is left out.
    """
    depth = len(decoder_blocks(model))
    block: Any = decoder_blocks(model)[-1]
    try:
        last_matrix(block, depth - 1)
    except InputError:
        tokens = 0
    if not tokens or not isinstance(getattr(block, "mlp", None), nn.Module):
        yield
        return
    whole: Any = block.mlp.forward

    def forward(states: Tensor, *inputs: Any, **named: Any) -> Any:
        if inputs or named:
            return whole(states, *inputs, **named)
        return nn.functional.pad(whole(states[:, tokens:].contiguous()), (0, 0, tokens, 0))

    with replaced(block.mlp, forward):
        yield
