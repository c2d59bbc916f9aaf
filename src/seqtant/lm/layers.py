"""Running part of a network: hidden states up to a layer without the rest, and on from a layer without what is below.

What lies above the layer that is read, and the output head, is never computed; and blocks that do not depend on what
is being varied (a steering strength, say) are run once for all variants. Texts that begin alike, such as the sides of a
contrast pair, are read once where they agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm.hooks import check_layers, decoder_blocks, network, width
from seqtant.lm.huggingface import (
    HuggingFaceCache,
    HuggingFaceLM,
    ReachedError,
    hidden_of,
    replaced,
    uncompiled,
    with_hidden,
)
from seqtant.lm.interface import (
    Batch,
    Tokens,
    as_tokens,
    common_length,
    group_by_length,
    pad,
    reading_rows,
    tokens_per_pass,
)
from seqtant.processes import over_batches
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
    budget = tokens_per_batch or tokens_per_pass(model)

    def read(rows: Sequence[int]) -> dict[int, Tensor]:
        batch = pad(ids, rows, model, side="right")
        lines = torch.arange(len(rows), device=model.device)
        at = torch.tensor([places[row] for row in rows], device=model.device)
        with reading_rows(batch.rows):
            outputs = run_up_to(model, chosen, batch.input_ids, None)
        # Right padding needs no mask: in a causal network it cannot act on the token that is read.
        states = torch.stack([hidden_of(outputs[layer])[lines, at].to(dtype).cpu() for layer in chosen], dim=1)
        return dict(zip(rows, states, strict=True))

    groups = group_by_length([line.numel() for line in ids], budget) if chosen else []
    found = over_batches(groups, read, progress.task("reading hidden states", len(ids)))
    return (
        torch.stack([found[row] for row in range(len(ids))])
        if found
        else torch.empty(len(ids), 0, width(model), dtype=dtype)
    )


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
        stack.enter_context(uncompiled())
        for layer in layers:
            stack.callback(blocks[layer].register_forward_hook(partial(keep, layer)).remove)
        try:
            model.forward(input_ids, attention_mask, cache=cache, keep=1)
        except ReachedError:
            return outputs
    raise InputError(f"{type(network(model)).__name__} never ran block {top}: this family is not known")


@torch.no_grad()
def last_states(
    model: HuggingFaceLM,
    groups: Sequence[Sequence[Tokens]],
    layers: Sequence[int],
    *,
    tokens_per_batch: int | None = None,
    progress: Progress = SILENT,
) -> Float[Tensor, "sequences layers width"]:
    """The output of some decoder blocks at the last token of each sequence; no block above the highest of them is run.

    The same numbers as :func:`seqtant.lm.layers.hidden_states`, to rounding, at a lower cost where the sequences of a
    group begin alike.

    Args:
        model: The model.
        groups: Per group its sequences, at least one; every sequence has at least one token.
        layers: Block numbers.
        tokens_per_batch: Most tokens in one forward pass; None suits the device.
        progress: Told how many sequences are done.

    Returns:
        (sequences, layers, width) in the order of the groups, float32 (float64 for a float64 model), on the CPU.

    Example:
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> tiny = HuggingFaceLM(GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=4, n_layer=3, n_head=1, n_positions=8,
        ...                                                 bos_token_id=0, eos_token_id=0)))
        >>> pair = [[1, 2, 3, 4, 5], [1, 2, 3, 4, 6]]
        >>> torch.allclose(last_states(tiny, [pair], [1]), hidden_states(tiny, pair, [1]), atol=1e-6)
        True
    """
    chosen = check_layers(model, layers)
    ids = [as_tokens(model, group) for group in groups]
    flat = [line for group in ids for line in group]
    # The last token of each is left over, for its own state is what is asked for.
    shared = [common_length([line[:-1].tolist() for line in group]) for group in ids]
    saved = sum(length * (len(group) - 1) for length, group in zip(shared, ids, strict=True))
    if (
        not chosen
        or not all(shared)
        or not model.abilities.prefixes
        or saved < WORTH * sum(line.numel() for line in flat)
    ):
        return hidden_states(model, flat, chosen, tokens_per_batch=tokens_per_batch, progress=progress)
    budget = tokens_per_batch or tokens_per_pass(model)
    number_of = [list(range(end - len(group), end)) for group, end in zip(ids, accumulate(map(len, ids)), strict=True)]
    beginnings = [group[0][:length] for group, length in zip(ids, shared, strict=True)]

    def read(chunk: Sequence[int]) -> dict[int, Tensor]:
        batch = pad(beginnings, chunk, model, side="left")
        cache = _read(model, max(chosen), batch)
        owned = [(line, number) for line, group in enumerate(chunk) for number in number_of[group]]
        ends = [flat[number][shared[chunk[line]] :] for line, number in owned]
        states = _go_on(model, chosen, cache, owned, ends).cpu()
        return {number: own for (_, number), own in zip(owned, states, strict=True)}

    parts = over_batches(group_by_length(shared, budget), read, progress.task("reading hidden states", len(ids)))
    dtype = torch.promote_types(next(model.model.parameters()).dtype, torch.float32)
    return torch.stack([parts[number] for number in range(len(flat))]).to(dtype).cpu()


def _go_on(
    model: HuggingFaceLM,
    layers: Sequence[int],
    cache: HuggingFaceCache,
    owned: Sequence[tuple[int, int]],
    ends: Sequence[Tensor],
) -> Float[Tensor, "ends layers width"]:
    """The states at the last token of each end, read on from the line of the cache that it goes on from."""
    rest = pad(ends, range(len(ends)), model, side="right")
    owner = torch.tensor([line for line, _ in owned], device=model.device)
    with reading_rows(torch.tensor([number for _, number in owned])):
        outputs = run_up_to(model, layers, rest.input_ids, None, cache=model.select_rows(cache, owner))
    lines = torch.arange(len(owned), device=model.device)
    return torch.stack([hidden_of(outputs[layer])[lines, rest.lengths - 1] for layer in layers], dim=1)


def _read(model: HuggingFaceLM, top: int, batch: Batch) -> HuggingFaceCache:
    """Keys and values of a batch up to a block; the blocks above let everything pass, the head is not reached."""
    output: list[Any] = []

    def stop(_module: nn.Module, _inputs: Any, whole: Any) -> None:
        output.append(getattr(whole, model.cache_name))
        raise ReachedError

    decoder, blocks = model.decoder
    with ExitStack() as stack:
        stack.enter_context(uncompiled())
        stack.callback(blocks[top].register_forward_hook(lambda _module, _inputs, out: output.append(out)).remove)
        stack.callback(decoder.register_forward_hook(stop).remove)
        for block in blocks[top + 1 :]:
            stack.enter_context(replaced(block, lambda hidden, *_inputs, **_named: with_hidden(output[0], hidden)))
        stack.enter_context(suppress(ReachedError))
        model.forward(batch.input_ids, batch.mask, keep=1, use_cache=True)
    return HuggingFaceCache(output[-1], batch.input_ids, batch.lengths, batch.mask)


REACH = 64
"""Most sequences in a group: more save little, and a group is a batch at least."""
WORTH = 0.25
"""Share of a group's tokens that must be saved before reading in two steps pays for its second step."""


@dataclass(frozen=True)
class PrefixGroup:
    """Sequences with a common beginning."""

    rows: list[int]
    """Which sequences."""
    shared: int
    """Tokens at the beginning that all have in common and that are read once; 0 where each is read whole."""


def prefix_groups(sequences: Sequence[Sequence[int]], most: Sequence[int]) -> list[PrefixGroup]:
    """Groups sequences such that few tokens are read: each common beginning once, each rest by itself.

    Sorted by their beginnings, sequences stand beside those that they have most in common with; of all ways to cut that
    row into groups the one with the fewest tokens is taken.

    Args:
        sequences: Token ids.
        most: Per sequence, the longest beginning that may be shared.

    Returns:
        Groups that together hold every sequence once; those that share too little come as groups of one.

    Example:
        >>> prefix_groups([[1, 2, 3, 4], [7, 8], [1, 2, 3, 5]], [3, 1, 3])
        [PrefixGroup(rows=[0, 2], shared=3), PrefixGroup(rows=[1], shared=0)]
    """
    order = sorted(range(len(sequences)), key=lambda index: tuple(sequences[index][: most[index]]))
    # In sorted order the common beginning of a run is the shortest one between neighbors inside it.
    common = [0, *(common_length([sequences[row][: most[row]] for row in both]) for both in pairwise(order))]
    ends = [0, *accumulate(len(sequences[index]) for index in order)]
    # Up to each place of the row: fewest tokens, where the last group starts, what it shares.
    best: list[tuple[int, int, int]] = [(0, 0, 0)]
    for end in range(1, len(order) + 1):
        options, shared = [], None
        for start in range(end - 1, max(-1, end - 1 - REACH), -1):
            whole = ends[end] - ends[start]
            # A group of n reads its beginning once instead of n times.
            saved = 0 if shared is None else (end - start - 1) * shared
            if saved >= WORTH * whole or shared is None:
                options.append((best[start][0] + whole - saved, start, shared or 0))
            shared = common[start] if shared is None else min(shared, common[start])
            if not shared:
                break
        best.append(min(options))
    groups: list[PrefixGroup] = []
    end = len(order)
    while end:
        _, start, shared = best[end]
        groups.append(PrefixGroup(order[start:end], shared))
        end = start
    return groups[::-1]
