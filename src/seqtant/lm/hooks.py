"""The one place where decoder blocks are found, read and edited.

A block returns a tensor in most families of transformers 5 and a tuple in others (GPT-J, GPT-Neo, CodeGen, Bloom). A
hook written for the wrong form changes the first row of a batch only, without an error; so no other file hooks a block.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm.huggingface import HuggingFaceLM, find_decoder, hidden_of, uncompiled, with_hidden
from seqtant.lm.interface import CausalLM, current_rows


@dataclass(frozen=True)
class BlockCall:
    """Where in the text, and in whose rows, the states lie that a block has just put out; true until the next call."""

    layer: int
    """Number of the block, from 0."""
    _place: _Place

    @property
    def rows(self) -> Int[Tensor, " batch"] | None:
        """The caller's row of each row (see :func:`seqtant.lm.interface.reading_rows`); None outside scoring."""
        return current_rows()

    @property
    def positions(self) -> Int[Tensor, "batch time"]:
        """Position of each token among the real tokens of its row, from 0, cached ones counted; -1 on padding."""
        return self._place.positions


Edit = Callable[[Float[Tensor, "batch time width"], BlockCall], Tensor]
"""Takes a block's output and returns what shall stand in its place; it must not write into what it was given."""

Model = CausalLM | nn.Module
"""A loaded model, or a bare ``transformers`` module."""


def network(model: Model) -> nn.Module:
    """The ``transformers`` module inside a model."""
    if isinstance(model, nn.Module):
        return model
    if isinstance(model, HuggingFaceLM):
        return model.model
    raise InputError(f"'{model.name}' has no layers to look into: this needs a Hugging Face model")


def _decoder_of(model: Model) -> tuple[nn.Module, nn.ModuleList]:
    return model.decoder if isinstance(model, HuggingFaceLM) else find_decoder(network(model))


def decoder_blocks(model: Model) -> list[nn.Module]:
    """The decoder blocks, first to last, whatever the family calls them."""
    return list(_decoder_of(model)[1])


def depth(model: Model) -> int:
    """Number of decoder blocks."""
    return len(_decoder_of(model)[1])


def width(model: Model) -> int:
    """Size of the hidden states between blocks."""
    config: Any = network(model).config
    return int(config.get_text_config(decoder=True).hidden_size)


def check_layers(model: Model, layers: Sequence[int]) -> list[int]:
    """Layer numbers from 0, with negative ones counted from the end."""
    count = depth(model)
    if any(not -count <= layer < count for layer in layers):
        raise InputError(f"the model has layers 0 to {count - 1}, got {list(layers)}")
    chosen = [layer % count for layer in layers]
    if len(set(chosen)) != len(chosen):
        raise InputError(f"a layer comes twice in {list(layers)}")
    return chosen


@contextmanager
def edit_blocks(model: Model, edits: Mapping[int, Edit]) -> Iterator[None]:
    """Puts an edit after each of some decoder blocks for as long as the context lasts.

    Holds for plain calls, cached calls, left-padded batches and ``generate``; nested contexts act in the order they
    were opened. Gradients flow through. What ``torch.compile`` has compiled runs as it was written meanwhile.

    Args:
        model: The model.
        edits: Per layer (negative ones count from the end): what to put in the place of its output.

    Raises:
        InputError: A layer is not there, or an edit changes the shape.

    Example:
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> tiny = GPT2LMHeadModel(GPT2Config(vocab_size=5, n_embd=4, n_layer=2, n_head=1, n_positions=8,
        ...                                   bos_token_id=0, eos_token_id=0)).eval()
        >>> ids = torch.tensor([[1, 2, 3]])
        >>> before = tiny(ids).logits
        >>> push = torch.tensor([3.0, 0.0, -3.0, 0.0])
        >>> with edit_blocks(tiny, {0: lambda states, call: states + push * (call.positions >= 2)[..., None]}):
        ...     after = tiny(ids).logits
        >>> (before - after).abs().amax(dim=-1).gt(1e-6).tolist()
        [[False, False, True]]
    """
    decoder, blocks = _decoder_of(model)
    chosen = dict(zip(check_layers(model, list(edits)), edits.values(), strict=True))
    place = _Place()
    with ExitStack() as stack:
        stack.enter_context(uncompiled())
        stack.callback(decoder.register_forward_pre_hook(place.note, with_kwargs=True).remove)
        for layer, edit in chosen.items():
            hook = partial(_edited, edit, BlockCall(layer, place))
            stack.callback(blocks[layer].register_forward_hook(hook).remove)
        yield


@contextmanager
def read_blocks(model: Model, layers: Sequence[int], read: Callable[[Tensor, BlockCall], None]) -> Iterator[None]:
    """Hands the output of some blocks to a reader, unchanged, for as long as the context lasts.

    Args:
        model: The model.
        layers: Layer numbers; negative ones count from the end.
        read: Called with each output (batch, time, width) as it arises.

    Raises:
        InputError: A layer is not there.
    """

    def watch(states: Tensor, call: BlockCall) -> Tensor:
        read(states, call)
        return states

    with edit_blocks(model, dict.fromkeys(layers, watch)):
        yield


def _edited(edit: Edit, call: BlockCall, _module: nn.Module, _inputs: Any, output: Any) -> Any:
    # Runs once per block and token of a generation: nothing is made here that can be made before.
    states = hidden_of(output)
    edited = edit(states, call)
    # None tells the hook to leave the output alone; a reader returns what it was given and costs nothing.
    if edited is states:
        return None
    if edited.shape != states.shape:
        raise InputError(
            f"the edit of layer {call.layer} turned states of shape {tuple(states.shape)} into {tuple(edited.shape)}"
        )
    return with_hidden(output, edited if edited.dtype == states.dtype else edited.to(states.dtype))


_signature = cache(inspect.signature)


class _Place:
    """Counts positions when the decoder is called, since blocks themselves are not always told."""

    def note(self, decoder: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        arguments = named
        if inputs:
            bound = _signature(type(decoder).forward).bind(decoder, *inputs, **named).arguments
            arguments = {**bound, **bound.get("kwargs", {})}
        tokens = arguments.get("input_ids")
        if tokens is None:  # embeddings, under the family's own name
            found = [each for each in arguments.values() if isinstance(each, Tensor) and each.is_floating_point()]
            tokens = next(each[..., 0] for each in found if each.ndim == 3)
        self._tokens, self._mask = tokens, arguments.get("attention_mask")
        past = arguments.get("past_key_values")
        # Blocks lengthen the cache as they run: what it holds must be asked now.
        self._start = 0 if past is None or self._mask is not None else int(past.get_seq_length())
        self.__dict__.pop("positions", None)

    @cached_property
    def positions(self) -> Tensor:
        """Counted once per call of the decoder, and only if an edit asks: most steer all tokens alike."""
        batch, time = self._tokens.shape
        if self._mask is not None and not (isinstance(self._mask, Tensor) and self._mask.ndim == 2):
            # Made by the network itself from one number per token, which it does not tell: padding cannot be seen.
            raise InputError("positions need an attention_mask of shape (batch, time), one number per token")
        if self._mask is not None:
            # The mask also covers the cached tokens, so the new tokens are its last columns.
            counted = (self._mask.long().cumsum(dim=1) - 1).masked_fill(self._mask == 0, -1)
            return counted[:, -time:]
        return torch.arange(self._start, self._start + time, device=self._tokens.device).expand(batch, time)
