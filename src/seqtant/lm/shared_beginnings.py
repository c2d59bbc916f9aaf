"""Hidden states of texts that begin alike, such as the sides of a contrast pair: what they share is read once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from seqtant.lm.batches import Batch, Tokens, as_tokens, group_by_length, pad, tokens_per_pass
from seqtant.lm.hooks import check_layers
from seqtant.lm.huggingface import (
    HuggingFaceCache,
    HuggingFaceLM,
    ReachedError,
    hidden_of,
    replaced,
    with_hidden,
)
from seqtant.lm.interface import common_length, reading_rows
from seqtant.lm.layers import hidden_states, run_up_to
from seqtant.progress import SILENT, Progress


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
    parts: dict[int, Tensor] = {}
    bar = progress.task("reading hidden states", len(flat))
    for chunk in group_by_length(shared, budget):
        batch = pad(beginnings, chunk, model, side="left")
        cache = _read(model, max(chosen), batch)
        owned = [(line, number) for line, group in enumerate(chunk) for number in number_of[group]]
        ends = [flat[number][shared[chunk[line]] :] for line, number in owned]
        states = _go_on(model, chosen, cache, owned, ends)
        parts |= {number: own for (_, number), own in zip(owned, states, strict=True)}
        bar.advance(len(owned))
    bar.close()
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
    common = [0, *(common_length([sequences[row][: most[row]] for row in both]) for both in pairwise(order))]
    ends = [0, *accumulate(len(sequences[index]) for index in order)]
    # Up to each place of the row: fewest tokens, where the last group starts, what it shares.
    best: list[tuple[int, int, int]] = [(0, 0, 0)]
    for end in range(1, len(order) + 1):
        options, shared = [], None
        for start in range(end - 1, max(-1, end - 1 - REACH), -1):
            whole = ends[end] - ends[start]
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
