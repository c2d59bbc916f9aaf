"""Runs a batch at many strengths with little work: lower blocks once, common prefixes once, no unscored tokens.

Three savings, each exact: the blocks below the first steered one see no strength, so all strengths share them; rows
that begin alike share a key-value cache of their prefix, per strength; and the last block does not compute what nobody
reads (the states of prefixes, the feed-forward layer before the first scored token).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from seqtant.errors import InputError
from seqtant.lm.batches import group_by_length, pad
from seqtant.lm.hooks import decoder_blocks
from seqtant.lm.huggingface import HuggingFaceCache, HuggingFaceLM, ReachedError, only_grows, replaced, with_hidden
from seqtant.lm.interface import reading_rows
from seqtant.lm.layers import BlockStates, continue_from, read_from, run_to_layer
from seqtant.lm.shared_beginnings import PrefixGroup, prefix_groups
from seqtant.steering.applying.output_bias import output_projection
from seqtant.steering.vectors.hooks import apply_steering
from seqtant.steering.vectors.vector import SteeringVector


@dataclass(frozen=True)
class TokenRow:
    """One sequence to run, with the length of its prompt."""

    tokens: Int[Tensor, " time"]
    """Tokens of the prompt and of the continuation."""
    prompt_length: int
    """How many of them are the prompt."""
    item: int
    """Index of the item that the row belongs to."""


@dataclass(frozen=True)
class ScoredPositions:
    """The positions of a batch from which a next token is scored."""

    lines: Int[Tensor, " scored"]
    """Row of the batch."""
    positions: Int[Tensor, " scored"]
    """Token of the row."""
    first: list[int]
    """Per row the index of its first position, the last token of its prompt; its others follow."""

    @classmethod
    def of(cls, rows: Sequence[TokenRow], device: torch.device, *, last_only: bool = False) -> ScoredPositions:
        """The scored positions of some rows; with ``last_only`` only the ends of their prompts."""
        spans = [range(row.prompt_length - 1, row.prompt_length if last_only else row.tokens.numel()) for row in rows]
        lines = torch.arange(len(rows)).repeat_interleave(torch.tensor([len(span) for span in spans]))
        positions = torch.tensor([position for span in spans for position in span])
        first = [0, *accumulate(len(span) for span in spans)][:-1]
        return cls(lines.to(device), positions.to(device), first)


@dataclass(frozen=True)
class LowerStates:
    """A batch behind the first steered block, before anything is added: where all strengths continue from."""

    rows: list[int]
    """Indices of its rows."""
    prefixes: BlockStates | None
    """Common prefixes, a line per group of rows, padding on the left; None where every row is run whole."""
    rests: BlockStates
    """What follows, a line per row, padding on the right."""
    owner: Int[Tensor, " rows"]
    """Line of each row's prefix."""
    skipped: Int[Tensor, " rows"]
    """Length of that prefix."""
    unscored: int
    """Tokens of every rest that come before any scored position."""


def run_lower_blocks(
    model: HuggingFaceLM, layer: int, rows: Sequence[TokenRow], tokens_per_batch: int, *, last_only: bool = False
) -> Iterator[LowerStates]:
    """Runs rows up to a block and splits common prefixes, which end before the first scored position, from the rests.

    With ``last_only`` nothing behind the prompts is run.
    """
    if last_only:
        rows = [replace(row, tokens=row.tokens[: row.prompt_length]) for row in rows]
    most = [row.prompt_length - 1 if model.abilities.prefixes else 0 for row in rows]
    groups = prefix_groups([row.tokens.tolist() for row in rows], most)
    # Groups with and without a common prefix never share a batch: the latter need no cache.
    for sharing in (True, False):
        own = [group for group in groups if bool(group.shared) == sharing]
        costs = [
            group.shared + sum(rows[number].tokens.numel() - group.shared for number in group.rows) for group in own
        ]
        for chunk in group_by_length(costs, tokens_per_batch):
            yield _run_lower_batch(model, layer, rows, [own[index] for index in chunk])


def _run_lower_batch(
    model: HuggingFaceLM, layer: int, rows: Sequence[TokenRow], groups: Sequence[PrefixGroup]
) -> LowerStates:
    numbers = [number for group in groups for number in group.rows]
    batch = pad([row.tokens for row in rows], numbers, model, side="right")
    with reading_rows(batch.rows):
        whole = run_to_layer(model, layer, batch.input_ids)
    device = model.device
    counts = torch.tensor([len(group.rows) for group in groups], device=device)  # [groups]
    shared = torch.tensor([group.shared for group in groups], device=device)  # [groups]
    prefixes, longest = None, int(shared.max())
    if longest:
        # A prefix is taken from the first row of its group and stands at the right end of its line.
        before = torch.arange(longest, device=device) - (longest - shared)[:, None]  # [groups, longest]
        real = (before >= 0).long() if bool((before < 0).any()) else None
        prefixes = whole.select_tokens(counts.cumsum(0) - counts, before.clamp(min=0), real)
    owner = torch.arange(len(groups), device=device).repeat_interleave(counts)
    first_scored = torch.tensor([rows[number].prompt_length - 1 for number in numbers], device=device)
    skipped, lines = shared[owner], torch.arange(len(numbers), device=device)
    after = skipped[:, None] + torch.arange(int((batch.lengths - skipped).max()), device=device)  # [rows, rest]
    return LowerStates(
        rows=numbers,
        prefixes=prefixes,
        rests=whole.select_tokens(lines, after.clamp(max=batch.input_ids.shape[1] - 1)),
        owner=owner,
        skipped=skipped,
        unscored=int((first_scored - skipped).min()),
    )


def run_upper_blocks(
    model: HuggingFaceLM,
    vector: SteeringVector,
    lower: LowerStates,
    strengths: Float[Tensor, " strengths"],
    *,
    positions: str,
    prompt_lengths: list[int],
) -> Float[Tensor, "strengths rows time width"]:
    """Runs the blocks above the vector at every strength, all strengths in one batch: first prefixes, then rests.

    Final states of the rests that come before the first scored position mean nothing.
    """

    def steered_copies(states: BlockStates, prompts: list[int]) -> tuple[BlockStates, AbstractContextManager[None]]:
        # Line strength * len(prompts) + row: all rows for the first strength, then all for the second, and so on.
        count = len(strengths)
        copies = states.select_rows(torch.arange(len(states.input_ids), device=states.input_ids.device).repeat(count))
        where = {"positions": positions, "prompt_lengths": prompts * count} if positions != "all" else {}
        # The hash was checked when the vector was loaded; here it would be computed per batch.
        own = strengths.repeat_interleave(len(prompts))
        return copies, apply_steering(model, vector, own, allow_other_model=True, **where)

    cache = None
    if lower.prefixes is not None:
        groups, time = lower.prefixes.input_ids.shape
        # A prefix ends before its prompt does: with a length beyond it "prompt" steers all of it, "last" nothing.
        copies, steering = steered_copies(lower.prefixes, [time + 1] * groups)
        with steering:
            cache = _cache_of(model, copies)
        first = groups * torch.arange(len(strengths), device=model.device)
        cache = model.select_rows(cache, (first[:, None] + lower.owner).flatten())
    copies, steering = steered_copies(lower.rests, prompt_lengths)
    with steering, skip_unscored(model, lower.unscored):
        states = continue_from(model, copies, cache=cache)
    return states.unflatten(0, (len(strengths), len(prompt_lengths)))


def _cache_of(model: HuggingFaceLM, states: BlockStates) -> HuggingFaceCache:
    """Keys and values of the blocks above some states, as :func:`seqtant.lm.layers.read_from` computes them.

    The last block stops as soon as it has stored its own: its attention and its feed-forward layer, most of its cost,
    would only compute states that nobody reads.
    """
    block = decoder_blocks(model)[-1]
    whole: Any = block.forward

    def forward(hidden: Tensor, *inputs: Any, **named: Any) -> Any:
        past: Any = next((value for value in (*inputs, *named.values()) if hasattr(value, "layers")), None)
        if past is None:
            return whole(hidden, *inputs, **named)
        store = past.update

        def store_and_stop(*keys: Any, **options: Any) -> Any:
            stored = store(*keys, **options)
            # Not where a block keeps more than keys and values, such as a recurrent state.
            if only_grows(past.layers[-1]):
                raise ReachedError
            return stored

        past.update = store_and_stop
        try:
            return whole(hidden, *inputs, **named)
        except ReachedError:
            return with_hidden(states.output, hidden)
        finally:
            del past.update  # the instance attribute: the method of the class is there again

    with replaced(block, forward):
        return read_from(model, states)


@contextmanager
def skip_unscored(model: HuggingFaceLM, tokens: int) -> Iterator[None]:
    """Lets the last block's feed-forward layer skip the first ``tokens`` tokens of each row while the context lasts.

    Their final states mean nothing; those of all others are what they are. Where the layer is no plain one (a mixture
    of experts, or one that takes more than states), nothing is skipped.
    """
    blocks = decoder_blocks(model)
    block: Any = blocks[-1]
    try:
        output_projection(block, len(blocks) - 1)
    except InputError:
        tokens = 0
    if not tokens or not isinstance(getattr(block, "mlp", None), nn.Module):
        yield
        return
    whole: Any = block.mlp.forward

    def forward(states: Tensor, *inputs: Any, **named: Any) -> Any:
        if inputs or named:
            return whole(states, *inputs, **named)
        # Zeros stand for the skipped tokens: [rows, time, width] keeps its shape.
        return nn.functional.pad(whole(states[:, tokens:].contiguous()), (0, 0, tokens, 0))

    with replaced(block.mlp, forward):
        yield
