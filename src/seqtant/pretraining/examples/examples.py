"""Training examples as slices of the corpus' tokens: groups of related segments, their controls, and running text.

The arms of an experiment differ in the context of each anchor only: equal budgets, equal lengths, other segments. A
group is an anchor with its context; groups and running text both become slices, which are written as Parquet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from seqtant.optional import require
from seqtant.pretraining.corpus.segments import Segments
from seqtant.pretraining.examples.packing import pack_lengths
from seqtant.pretraining.retrieval.neighbors import Neighbors
from seqtant.pretraining.sections import Order, Strategy

COLUMNS = ("input_ids", "segment_lengths", "segment_ids", "doc_ids", "anchors")
_ROWS_PER_GROUP = 4096


@dataclass(frozen=True)
class Groups:
    """Anchors, each with other segments as its context; the slots of all groups end to end."""

    group: Int[np.ndarray, " slots"]
    """Group of each slot, rising from 0 without gaps."""
    segment: Int[np.ndarray, " slots"]
    """Segment in each slot."""
    anchor: Bool[np.ndarray, " slots"]
    """Whether the slot holds (a part of) the anchor."""

    @property
    def count(self) -> int:
        """Number of groups."""
        return int(self.group[-1]) + 1 if len(self.group) else 0


def sentence_groups(segments: Segments, anchors: Int[np.ndarray, " anchors"], found: Neighbors, window: int) -> Groups:
    """Makes one group per anchor: its neighbors, the least similar first, then the anchor itself.

    Neighbors are added, the most similar first, while the group fits into the window; a separator follows each
    segment. Anchors without neighbors make no group.
    """
    # [anchors, k]; a prefix of the neighbors stays: after the first that does not fit, none does.
    sizes = segments.lengths + 1
    lengths = np.where(found.ids >= 0, sizes[found.ids], 0)
    fits = (np.cumsum(lengths, axis=1) + sizes[anchors][:, None] <= window) & (found.ids >= 0)
    # Missing neighbors (-1) must neither end the prefix nor be part of it: hence ``|`` inside and ``&`` after.
    fits = np.logical_and.accumulate(fits | (found.ids < 0), axis=1) & (found.ids >= 0)
    chosen = fits.any(axis=1)
    members = np.concatenate([found.ids[chosen][:, ::-1], anchors[chosen][:, None]], axis=1)
    there = np.concatenate([fits[chosen][:, ::-1], np.ones((int(chosen.sum()), 1), dtype=bool)], axis=1)
    group = np.repeat(np.arange(len(members)), there.sum(axis=1))
    last = np.broadcast_to(np.arange(members.shape[1]) == members.shape[1] - 1, members.shape)
    return Groups(group, members[there], last[there])


def passage_groups(segments: Segments, anchors: Int[np.ndarray, " anchors"], found: Neighbors, window: int) -> Groups:
    """Makes groups of up to half a window of running text, after the neighbors of its segments, up to the window.

    ``anchors`` are segments that have neighbors; each starts a passage unless an earlier one covered it.
    """
    sizes = segments.lengths + 1
    row_of = {int(segment): row for row, segment in enumerate(anchors)}
    ends = segments.document_bounds
    covered = np.zeros(len(segments), dtype=bool)
    rows: list[tuple[list[int], list[int]]] = []
    for start in anchors.tolist():
        if covered[start]:
            continue
        last = int(ends[np.searchsorted(ends, start, side="right")])
        passage = _prefix(range(start, last), sizes, window // 2)
        # The neighbors of all its segments, the most similar first, one per document.
        near = sorted(
            (-float(similarity), int(segment))
            for row in (row_of[each] for each in passage if each in row_of)
            for segment, similarity in zip(found.ids[row], found.similarity[row], strict=True)
            if segment >= 0
        )
        by_document: dict[int, int] = {}
        for _, segment in near:
            by_document.setdefault(int(segments.document[segment]), segment)
        chosen = _prefix(list(by_document.values()), sizes, window - int(sizes[passage].sum()))
        if passage and chosen:
            covered[passage] = True
            rows.append((chosen[::-1], passage))
    group = np.repeat(np.arange(len(rows)), [len(a) + len(b) for a, b in rows]) if rows else np.zeros(0, dtype=np.int64)
    segment = np.array([s for a, b in rows for s in (*a, *b)], dtype=np.int64)
    anchor = np.array([which for a, b in rows for which in (*([False] * len(a)), *([True] * len(b)))], dtype=bool)
    return Groups(group, segment, anchor)


def _prefix(candidates: range | list[int], sizes: np.ndarray, budget: int) -> list[int]:
    """Takes candidates in order while their sizes fit into the budget."""
    chosen: list[int] = []
    for each in candidates:
        budget -= int(sizes[each])
        if budget < 0:
            break
        chosen.append(each)
    return chosen


def order_groups(groups: Groups, order: Order, generator: np.random.Generator) -> Groups:
    """Orders the segments within each group; groups are made with neighbors first."""
    if order == "neighbors-first":
        return groups
    if order == "anchor-first":
        # lexsort's last key counts most, and it is stable: groups stay in place, their neighbors keep their order.
        key = np.lexsort((~groups.anchor, groups.group))
    else:
        key = np.lexsort((generator.random(len(groups.group)), groups.group))
    return Groups(groups.group, groups.segment[key], groups.anchor[key])


def random_groups(
    groups: Groups, segments: Segments, pool: Int[np.ndarray, " pool"], generator: np.random.Generator
) -> tuple[Groups, int]:
    """Replaces every neighbor by a random segment of the same length: the same anchors with unrelated context.

    Counted are the slots that kept a related segment: the only one of its length in ``pool``.
    """
    lengths = segments.lengths
    by_length = pool[np.argsort(lengths[pool], kind="stable")]
    sorted_lengths = lengths[by_length]
    drawn = groups.segment.copy()
    open_slots = np.flatnonzero(~groups.anchor)
    # Rejection sampling: every round draws again only the slots whose segment is still related to its anchor.
    for _ in range(16):
        wanted = lengths[groups.segment[open_slots]]
        low = np.searchsorted(sorted_lengths, wanted)
        high = np.searchsorted(sorted_lengths, wanted, side="right")
        # by_length[low:high] are the segments of the wanted length; the one that is replaced is among them.
        drawn[open_slots] = by_length[low + (generator.random(len(open_slots)) * (high - low)).astype(np.int64)]
        changed = replace(groups, segment=drawn)
        open_slots = np.flatnonzero(_related(changed, groups, segments.document))
        if not len(open_slots):
            break
    return replace(groups, segment=drawn), len(open_slots)


def split_groups(groups: Groups, segments: Segments, generator: np.random.Generator) -> tuple[Groups, int]:
    """Permutes the neighbors among slots of equal length: the very same segments with related ones apart.

    Counted are the slots that kept a related segment: the only one of its length.
    """
    slots = np.flatnonzero(~groups.anchor)
    lengths = segments.lengths[groups.segment[slots]]
    by_length = slots[np.argsort(lengths, kind="stable")]
    sorted_lengths = np.sort(lengths)
    moved = groups.segment.copy()
    # Both index lists are sorted by length and hold the same slots, so each segment moves to a slot of its own length.
    moved[by_length] = groups.segment[slots[np.lexsort((generator.random(len(slots)), lengths))]]
    # Then slots that are still related swap with a random slot of their length, until none is or 32 rounds are over.
    for _ in range(32):
        together = np.flatnonzero(_related(replace(groups, segment=moved), groups, segments.document))
        if not len(together):
            break
        wanted = segments.lengths[moved[together]]
        low = np.searchsorted(sorted_lengths, wanted)
        high = np.searchsorted(sorted_lengths, wanted, side="right")
        partners = by_length[low + (generator.random(len(together)) * (high - low)).astype(np.int64)]
        for slot, partner in zip(together.tolist(), partners.tolist(), strict=True):
            moved[slot], moved[partner] = moved[partner], moved[slot]
    exchanged = replace(groups, segment=moved)
    return exchanged, int(_related(exchanged, groups, segments.document).sum())


def _related(changed: Groups, original: Groups, document: np.ndarray) -> np.ndarray:
    """Marks the slots that still hold a neighbor of their anchor, or a segment of the anchor's document."""
    # (group, segment) as one number, so that pairs can be looked up.
    size = int(max(original.segment.max(initial=0), changed.segment.max(initial=0))) + 1
    pairs = np.unique(original.group * size + original.segment)
    known = np.isin(changed.group * size + changed.segment, pairs)
    source = np.zeros(original.count, dtype=np.int64)
    source[original.group[original.anchor]] = document[original.segment[original.anchor]]
    same_document = document[changed.segment] == source[changed.group] if original.count else known
    return (known | same_document) & ~original.anchor


@dataclass(frozen=True)
class Slices:
    """Examples as pieces of the corpus: each a run of tokens, some followed by a separator."""

    example: Int[np.ndarray, " slices"]
    """Example of each slice, rising."""
    start: Int[np.ndarray, " slices"]
    """First token of each slice in the corpus."""
    stop: Int[np.ndarray, " slices"]
    """Token after its last."""
    separated: Bool[np.ndarray, " slices"]
    """Whether a separator follows."""
    anchor: Bool[np.ndarray, " slices"]
    """Whether the slice is an anchor."""

    @property
    def count(self) -> int:
        """Number of examples."""
        return int(self.example[-1]) + 1 if len(self.example) else 0

    @property
    def lengths(self) -> Int[np.ndarray, " examples"]:
        """Tokens of each example, separators included."""
        sizes = self.stop - self.start + self.separated
        return np.bincount(self.example, weights=sizes, minlength=self.count).astype(np.int64)

    def followed_by(self, other: Slices) -> Slices:
        """Appends the examples of another, numbered on."""
        names = ("start", "stop", "separated", "anchor")
        joined = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names}
        return Slices(np.concatenate([self.example, other.example + self.count]), **joined)


def group_slices(groups: Groups, segments: Segments, window: int) -> Slices:
    """Packs groups into windows by best fit; each segment becomes a slice with a separator.

    Packing depends on lengths only: arms of equal lengths, slot by slot, are packed alike.
    """
    sizes = np.bincount(groups.group, weights=segments.lengths[groups.segment] + 1, minlength=groups.count)
    packed = pack_lengths(sizes.astype(np.int64), window)
    # The slots of group g are [first[g], first[g + 1]).
    first = np.searchsorted(groups.group, np.arange(groups.count + 1))
    counts = np.diff(first)[packed.document]
    slots = _ranges(first[packed.document], counts)
    return segment_slices(np.repeat(packed.sequence, counts), groups.segment[slots], groups.anchor[slots], segments)


def segment_slices(example: np.ndarray, segment: np.ndarray, anchor: np.ndarray, segments: Segments) -> Slices:
    """Makes a slice of each of the given segments, with a separator."""
    start, stop = segments.offsets[segment], segments.offsets[segment + 1]
    return Slices(example, start, stop, np.ones(len(segment), dtype=bool), anchor)


def running_slices(
    segments: Segments, documents: Int[np.ndarray, " documents"], lengths: Int[np.ndarray, " examples"]
) -> Slices:
    """Makes examples of given lengths from running text: documents in order, a separator after each.

    ``documents`` are indices into ``segments.document_bounds``; too little text gives fewer examples.
    """
    bounds = segments.offsets[segments.document_bounds]
    starts, stops = bounds[documents], bounds[documents + 1]
    ends = np.cumsum(stops - starts + 1)
    # Every document is cut where an example ends; its separator is its last token.
    cuts = np.cumsum(lengths)
    whole = int(np.searchsorted(cuts, ends[-1] if len(ends) else 0, side="right"))
    cuts = cuts[:whole]
    if not whole:
        none, no = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)
        return Slices(none, none, none, no, no)
    edges = np.union1d(ends[ends < cuts[-1]], cuts)
    begins = np.concatenate([[0], edges[:-1]])
    # A position that is the end of one document is the beginning of the next: side right picks the next.
    owner = np.searchsorted(ends, begins, side="right")
    # From positions in the concatenated text to positions among the corpus' tokens.
    offset = starts[owner] - (ends - (stops - starts + 1))[owner]
    separated = edges == ends[owner]
    return Slices(
        example=np.searchsorted(cuts, begins, side="right"),
        start=begins + offset,
        stop=edges + offset - separated,
        separated=separated,
        anchor=np.zeros(len(edges), dtype=bool),
    )


def packed_slices(
    segments: Segments, documents: Int[np.ndarray, " documents"], window: int, strategy: Strategy, buffer: int
) -> Slices:
    """Packs documents into windows, in an order; a separator ends each document."""
    bounds = segments.offsets[segments.document_bounds]
    starts, sizes = bounds[documents], (bounds[1:] - bounds[:-1])[documents] + 1
    packed = pack_lengths(sizes, window, strategy, buffer=buffer)
    # Sizes count the separator: only a document's last piece has it.
    last = packed.start + packed.length == sizes[packed.document]
    start = starts[packed.document] + packed.start
    return Slices(packed.sequence, start, start + packed.length - last, last, np.zeros(len(last), dtype=bool))


def take_examples(slices: Slices, order: Int[np.ndarray, " chosen"]) -> Slices:
    """Takes some examples in a new order and numbers them from 0."""
    first = np.searchsorted(slices.example, np.arange(slices.count + 1))
    counts = np.diff(first)[order]
    rows = _ranges(first[order], counts)
    example = np.repeat(np.arange(len(order)), counts)
    return Slices(example, slices.start[rows], slices.stop[rows], slices.separated[rows], slices.anchor[rows])


def _ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Concatenates the ranges [start, start + count)."""
    # Global place minus the place where its range begins, plus the range's start.
    before = np.repeat(np.cumsum(counts) - counts, counts)
    return np.arange(int(counts.sum())) - before + np.repeat(starts, counts)


@dataclass(frozen=True)
class Parts:
    """Examples segment by segment: the flat form that is written and audited."""

    example: Int[np.ndarray, " parts"]
    """Example of each part, rising."""
    segment: Int[np.ndarray, " parts"]
    """Segment that the part is, or is cut from."""
    length: Int[np.ndarray, " parts"]
    """Tokens, a separator included."""
    anchor: Bool[np.ndarray, " parts"]
    """Whether the part is an anchor."""


def split_at_segments(slices: Slices, segments: Segments) -> Parts:
    """Splits slices at the boundaries of segments."""
    # A slice that is nothing but a separator belongs to the segment that it ends.
    inside = np.where(slices.stop > slices.start, slices.start, slices.start - 1)
    first = np.searchsorted(segments.offsets, inside, side="right") - 1
    last = np.searchsorted(segments.offsets, np.maximum(slices.stop, inside + 1), side="left")
    counts = last - first
    owner = np.repeat(np.arange(len(first)), counts)
    segment = _ranges(first, counts)
    begin = np.maximum(segments.offsets[segment], slices.start[owner])
    end = np.minimum(segments.offsets[segment + 1], slices.stop[owner])
    # The last part of each slice takes the separator.
    closing = np.cumsum(counts) - 1
    length = np.maximum(end - begin, 0)
    length[closing] += slices.separated
    kept = length > 0
    return Parts(slices.example[owner][kept], segment[kept], length[kept], slices.anchor[owner][kept])


def write_examples(slices: Slices, segments: Segments, separator: int, path: Path) -> None:
    """Writes examples as Parquet, in row groups of a few thousand examples."""
    arrow: Any = require("pyarrow", extra="data")
    parquet: Any = require("pyarrow.parquet", extra="data")
    whole, small = arrow.large_list(arrow.int32()), arrow.list_(arrow.int32())
    wide = arrow.list_(arrow.int64())
    schema = arrow.schema(list(zip(COLUMNS, (whole, small, wide, wide, small), strict=True)))
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, slices.count, _ROWS_PER_GROUP):
            block = take_examples(slices, np.arange(start, min(slices.count, start + _ROWS_PER_GROUP)))
            sizes = block.stop - block.start
            # One token more than the slice where a separator follows; it is overwritten by the separator.
            rows = _ranges(block.start, sizes + block.separated)
            tokens = segments.tokens[np.minimum(rows, len(segments.tokens) - 1)].astype(np.int32)
            tokens[(np.cumsum(sizes + block.separated) - 1)[block.separated]] = separator
            parts = split_at_segments(block, segments)
            # Anchors are given as positions among the parts of their example.
            position = np.arange(len(parts.example)) - np.searchsorted(parts.example, parts.example)
            numbers = np.arange(block.count + 1)
            token_offsets = np.concatenate([[0], np.cumsum(block.lengths)])
            part_offsets = np.searchsorted(parts.example, numbers).astype(np.int32)
            anchor_offsets = np.searchsorted(parts.example[parts.anchor], numbers).astype(np.int32)
            lists = arrow.ListArray.from_arrays
            columns = [
                arrow.LargeListArray.from_arrays(token_offsets, arrow.array(tokens, arrow.int32())),
                lists(part_offsets, arrow.array(parts.length, arrow.int32())),
                lists(part_offsets, arrow.array(parts.segment, arrow.int64())),
                lists(part_offsets, arrow.array(segments.document[parts.segment], arrow.int64())),
                lists(anchor_offsets, arrow.array(position[parts.anchor], arrow.int32())),
            ]
            writer.write_table(arrow.table(columns, schema=schema))
