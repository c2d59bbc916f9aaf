"""Running part of a network: hidden states up to a layer without the rest, and on from a layer without what is below.

What lies above the layer that is read, and the output head, is never computed; and blocks that do not depend on what
is being varied (a steering strength, say) are run once for all variants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm.batches import Tokens, as_tokens, group_by_length, pad, tokens_per_pass
from seqtant.lm.hooks import check_layers, decoder_blocks, network, width
from seqtant.lm.huggingface import HuggingFaceCache, HuggingFaceLM, ReachedError, hidden_of, replaced, with_hidden
from seqtant.lm.interface import reading_rows
from seqtant.progress import SILENT, Progress


@dataclass(frozen=True)
class BlockStates:
    """A batch that has been run up to and including one decoder block."""

    layer: int
    """The last block that was run."""
    output: Any
    """What that block put out, in the family's own form."""
    input_ids: Int[Tensor, "batch time"]
    """The tokens."""
    attention_mask: Int[Tensor, "batch time"] | None
    """1 for real tokens; None when all are."""

    @property
    def hidden(self) -> Float[Tensor, "batch time width"]:
        """The hidden states after the block."""
        return hidden_of(self.output)

    def select_rows(self, rows: Int[Tensor, " selected"]) -> BlockStates:
        """Some rows, in the given order and possibly repeated: one copy per variant of a sweep."""
        mask = None if self.attention_mask is None else self.attention_mask[rows]
        output = with_hidden(self.output, self.hidden[rows])
        return BlockStates(self.layer, output, self.input_ids[rows], mask)

    def select_tokens(
        self, rows: Int[Tensor, " selected"], positions: Int[Tensor, "selected time"], real: Tensor | None = None
    ) -> BlockStates:
        """Some tokens of some rows, at given positions; ``real`` is the mask of the result, None where all are."""
        at = (rows[:, None], positions)
        return BlockStates(self.layer, with_hidden(self.output, self.hidden[at]), self.input_ids[at], real)


@torch.no_grad()
def hidden_states(
    model: HuggingFaceLM,
    sequences: Sequence[Tokens],
    layers: Sequence[int],
    *,
    positions: Sequence[int] | None = None,
    tokens_per_batch: int | None = None,
    progress: Progress = SILENT,
) -> Float[Tensor, "sequences layers width"]:
    """The output of some decoder blocks at one token of each sequence; no block above the highest of them is run.

    Args:
        model: The model.
        sequences: Token ids.
        layers: Block numbers from 0, negative ones from the end. Block outputs are taken before any final norm.
        positions: Per sequence, the token to read (negative ones count from the end); None means the last.
        tokens_per_batch: Most tokens in one forward pass; None suits the device.
        progress: Told how many sequences are done.

    Returns:
        (sequences, layers, width), float32 (float64 for a float64 model), on the CPU, in the caller's order.

    Raises:
        InputError: A sequence cannot be read, or a layer or position is not there.
    """
    chosen = check_layers(model, layers)
    ids = as_tokens(model, sequences)
    places = [-1] * len(ids) if positions is None else list(positions)
    if len(places) != len(ids):
        raise InputError(f"{len(places)} positions for {len(ids)} sequences: give one for each")
    for number, (place, line) in enumerate(zip(places, ids, strict=True)):
        if not -line.numel() <= place < line.numel():
            raise InputError(f"sequence {number} has {line.numel()} tokens: there is no position {place}")
        places[number] = place % line.numel()
    dtype = torch.promote_types(next(model.model.parameters()).dtype, torch.float32)
    result = torch.empty(len(ids), len(chosen), width(model), dtype=dtype)
    bar = progress.task("reading hidden states", len(ids))
    budget = tokens_per_batch or tokens_per_pass(model)
    for rows in group_by_length([line.numel() for line in ids], budget) if chosen else []:
        batch = pad(ids, rows, model, side="right")
        lines = torch.arange(len(rows), device=model.device)
        at = torch.tensor([places[row] for row in rows], device=model.device)
        with reading_rows(batch.rows):
            outputs = run_up_to(model, chosen, batch.input_ids, None)
        for column, layer in enumerate(chosen):
            result[rows, column] = hidden_of(outputs[layer])[lines, at].to(dtype).cpu()
        bar.advance(len(rows))
    bar.close()
    return result


def run_to_layer(
    model: HuggingFaceLM,
    layer: int,
    input_ids: Int[Tensor, "batch time"],
    attention_mask: Int[Tensor, "batch time"] | None = None,
) -> BlockStates:
    """Runs a batch up to and including one block, and stops there.

    Args:
        model: The model.
        layer: Block number from 0, negative ones from the end.
        input_ids: Tokens, (batch, time).
        attention_mask: 1 for real tokens, padding on the left; None means all are real.

    Returns:
        The states, to be read or handed to :func:`continue_from`.

    Raises:
        InputError: The layer is not there.
    """
    (chosen,) = check_layers(model, [layer])
    output = run_up_to(model, [chosen], input_ids, attention_mask)[chosen]
    return BlockStates(chosen, output, input_ids, attention_mask)


def continue_from(
    model: HuggingFaceLM, states: BlockStates, *, cache: HuggingFaceCache | None = None
) -> Float[Tensor, "batch time width"]:
    """Runs the blocks above ``states.layer``; the blocks up to it are not run again.

    Edits of :func:`seqtant.lm.hooks.edit_blocks` act on ``states.layer`` and above, as they would in a full pass. So a
    sweep over steering strengths runs the blocks below the first steered one once, with no edit in place, and then
    continues from it with one copy of the rows per strength.

    Args:
        model: The model that made the states.
        states: Where to go on from.
        cache: Keys and values of the tokens before them, from :func:`read_from`.

    Returns:
        The states from which :meth:`HuggingFaceLM.head` makes the logits of the positions that are wanted.
    """
    with _standing_in(model, states):
        return model.final_states(states.input_ids, states.attention_mask, cache=cache)


def read_from(model: HuggingFaceLM, states: BlockStates) -> HuggingFaceCache:
    """Keys and values of the blocks above ``states.layer``, for texts that begin with these tokens to continue from.

    Args:
        model: The model that made the states.
        states: Where to go on from.

    Returns:
        A cache for :func:`continue_from`, and for nothing else: of the blocks up to ``states.layer`` it knows only how
        many tokens they have read.
    """
    with _standing_in(model, states):
        cache = model.read(states.input_ids, states.attention_mask)
    batch, time = states.input_ids.shape
    nothing = states.hidden.new_zeros(batch, 1, time, 1)
    for layer in cache.past.layers[: states.layer + 1]:
        # Lengths and masks of the whole network are read off its first attention, which has not been run here.
        if hasattr(layer, "update"):
            layer.update(nothing, nothing)
    return cache


@contextmanager
def _standing_in(model: HuggingFaceLM, states: BlockStates) -> Iterator[None]:
    """Lets states stand for what the blocks up to theirs put out."""
    blocks = decoder_blocks(model)
    with ExitStack() as stack:
        for block in blocks[: states.layer]:
            # A block that does nothing, in the family's form of an output.
            stack.enter_context(replaced(block, lambda hidden, *_inputs, **_named: with_hidden(states.output, hidden)))
        stack.enter_context(replaced(blocks[states.layer], lambda *_inputs, **_named: states.output))
        yield


def run_up_to(
    model: HuggingFaceLM,
    layers: Sequence[int],
    input_ids: Tensor,
    attention_mask: Tensor | None,
    *,
    cache: HuggingFaceCache | None = None,
) -> dict[int, Any]:
    """The output of some blocks, in the family's own form; nothing above the highest is run."""
    outputs: dict[int, Any] = {}
    top = max(layers)

    def keep(layer: int, _module: nn.Module, _inputs: Any, output: Any) -> None:
        outputs[layer] = output
        if layer == top:
            raise ReachedError

    blocks = decoder_blocks(model)
    with ExitStack() as stack:
        for layer in layers:
            stack.callback(blocks[layer].register_forward_hook(partial(keep, layer)).remove)
        try:
            model.forward(input_ids, attention_mask, cache=cache, keep=1)
        except ReachedError:
            return outputs
    raise InputError(f"{type(network(model)).__name__} never ran block {top}: this family is not known")
