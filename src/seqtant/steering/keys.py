"""Reads tokens after which nothing is scored: later ones need their keys and values, and no more of the last block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from seqtant.lm.decoder import ReachedError, find_decoder, replaced, with_hidden
from seqtant.lm.huggingface import HuggingFaceCache, HuggingFaceLM, joint_mask
from seqtant.lm.layers import BlockStates, continue_from, read_from


def read_keys(model: HuggingFaceLM, states: BlockStates, cache: HuggingFaceCache | None = None) -> HuggingFaceCache:
    """Keys and values of the blocks above ``states.layer``, for texts that begin with these tokens to continue from.

    The last block stops as soon as it has stored its keys: its attention and its feed-forward layer, most of its cost,
    would only make states that nobody reads.

    Args:
        model: The model that made the states.
        states: Where to go on from.
        cache: Keys and values of the tokens before them, from this function.

    Returns:
        A cache for :func:`seqtant.lm.layers.continue_from`, and for nothing else.
    """
    decoder, blocks = find_decoder(model.model)
    outputs: list[Any] = []
    with ExitStack() as stack:
        stack.enter_context(_stopping_at_keys(blocks[-1], states.output))
        if cache is None:
            return read_from(model, states)
        stack.callback(decoder.register_forward_hook(lambda _module, _inputs, output: outputs.append(output)).remove)
        continue_from(model, states, cache=cache)
    past = outputs[0].past_key_values
    batch, time = states.input_ids.shape
    nothing = states.hidden.new_zeros(batch, 1, time, 1)
    for layer in past.layers[: states.layer + 1]:
        # Lengths of the whole network are read off its first blocks, which have not been run here.
        layer.update(nothing, nothing)
    real = time if states.attention_mask is None else states.attention_mask.sum(dim=1)
    mask = joint_mask(cache, states.attention_mask, states.input_ids)
    return HuggingFaceCache(past, cache.lengths + real, mask, cache.time + time)


@contextmanager
def _stopping_at_keys(block: nn.Module, output: Any) -> Iterator[None]:
    """Lets a block pass its input on once its keys and values are stored; ``output`` shows the form of its output."""
    whole: Any = block.forward

    def forward(hidden: Any, *inputs: Any, **named: Any) -> Any:
        past = next((value for value in (*inputs, *named.values()) if hasattr(value, "layers")), None)
        if past is None:
            return whole(hidden, *inputs, **named)
        past.update = _raising(past)
        try:
            return whole(hidden, *inputs, **named)
        except ReachedError:
            return with_hidden(output, hidden)
        finally:
            del past.update

    with replaced(block, forward):
        yield


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
