"""Batches of a sweep: rows that begin alike stand together, and the blocks below the vector have read them once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from jaxtyping import Int
from torch import Tensor

from seqtant.lm.batches import group_by_length, pad
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import reading_rows
from seqtant.lm.layers import BlockStates, run_to_layer
from seqtant.lm.prefix_groups import PrefixGroup, prefix_groups


@dataclass(frozen=True)
class Row:
    """One sequence to read, and which of its tokens are scored."""

    tokens: Int[Tensor, " time"]
    """Tokens read."""
    prompt_length: int
    """How many of them are the prompt."""
    item: int
    """Whose row it is."""


@dataclass(frozen=True)
class Places:
    """Where the rows of a batch are scored: after which tokens the next one is asked for."""

    lines: Int[Tensor, " places"]
    """Row of the batch."""
    positions: Int[Tensor, " places"]
    """Token of the row."""
    first: list[int]
    """Per row its first place, the last token of its prompt; its others follow."""

    @classmethod
    def of(cls, rows: Sequence[Row], device: torch.device, *, last_only: bool = False) -> Places:
        """The places of some rows; with ``last_only`` only the ends of their prompts."""
        spans = [range(row.prompt_length - 1, row.prompt_length if last_only else row.tokens.numel()) for row in rows]
        lines = torch.arange(len(rows)).repeat_interleave(torch.tensor([len(span) for span in spans]))
        positions = torch.tensor([position for span in spans for position in span])
        first = [0, *accumulate(len(span) for span in spans)][:-1]
        return cls(lines.to(device), positions.to(device), first)


@dataclass(frozen=True)
class Lower:
    """A batch behind the first steered block, before any push: what all strengths go on from."""

    rows: list[int]
    """Which rows."""
    beginnings: BlockStates | None
    """What groups of rows begin with, a line per group, padding on the left; None where every row is read whole."""
    rests: BlockStates
    """What follows, a line per row, padding on the right."""
    owner: Int[Tensor, " rows"]
    """Whose beginning each row has."""
    skipped: Int[Tensor, " rows"]
    """How long that is."""
    unscored: int
    """How many tokens of every rest come before any place."""


def lower_batches(
    model: HuggingFaceLM, layer: int, rows: Sequence[Row], tokens_per_batch: int, *, last_only: bool = False
) -> Iterator[Lower]:
    """Reads rows up to a block; what rows have in common before the first place is told apart from the rest.

    Args:
        model: The model.
        layer: The block to stop behind.
        rows: What to read.
        tokens_per_batch: Most tokens in a batch.
        last_only: Nothing behind the prompts is read.
    """
    if last_only:
        rows = [replace(row, tokens=row.tokens[: row.prompt_length]) for row in rows]
    groups = prefix_groups([row.tokens.tolist() for row in rows], [row.prompt_length - 1 for row in rows])
    for sharing in (True, False):
        own = [group for group in groups if bool(group.shared) == sharing]
        costs = [
            group.shared + sum(rows[number].tokens.numel() - group.shared for number in group.rows) for group in own
        ]
        for chunk in group_by_length(costs, tokens_per_batch):
            yield _lower(model, layer, rows, [own[index] for index in chunk])


def _lower(model: HuggingFaceLM, layer: int, rows: Sequence[Row], groups: Sequence[PrefixGroup]) -> Lower:
    numbers = [number for group in groups for number in group.rows]
    batch = pad([row.tokens for row in rows], numbers, model, side="right")
    with reading_rows(batch.rows):
        whole = run_to_layer(model, layer, batch.input_ids)
    device = model.device
    counts = torch.tensor([len(group.rows) for group in groups], device=device)
    shared = torch.tensor([group.shared for group in groups], device=device)
    owner = torch.arange(len(groups), device=device).repeat_interleave(counts)
    places = torch.tensor([rows[number].prompt_length - 1 for number in numbers], device=device)
    skipped, lines = shared[owner], torch.arange(len(numbers), device=device)
    after = skipped[:, None] + torch.arange(int((batch.lengths - skipped).max()), device=device)
    return Lower(
        rows=numbers,
        beginnings=_beginnings(whole, counts, shared),
        rests=whole.select_tokens(lines, after.clamp(max=batch.input_ids.shape[1] - 1)),
        owner=owner,
        skipped=skipped,
        unscored=int((places - skipped).min()),
    )


def _beginnings(whole: BlockStates, counts: Tensor, shared: Tensor) -> BlockStates | None:
    """What each group of so many rows begins with, taken from its first row."""
    time = int(shared.max())
    if time == 0:
        return None
    before = torch.arange(time, device=shared.device) - (time - shared)[:, None]
    real = (before >= 0).long() if bool((before < 0).any()) else None
    return whole.select_tokens(counts.cumsum(0) - counts, before.clamp(min=0), real)
