"""Training examples as slices of the corpus' tokens, and as Parquet with all that an audit or a trainer needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from seqtant.optional import require
from seqtant.pretraining.corpus.segments import Segments
from seqtant.pretraining.examples.conditions import Groups
from seqtant.pretraining.examples.packing import Packing, Strategy, pack

COLUMNS = ("input_ids", "segment_lengths", "segment_ids", "doc_ids", "anchors")
_ROWS_PER_GROUP = 4096


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


def group_slices(groups: Groups, segments: Segments, window: int) -> Slices:
    """Groups packed into windows by best fit: each segment a slice with a separator.

    Groups of equal lengths, slot by slot, are packed alike: so are the arms that differ in company only.
    """
    sizes = np.bincount(groups.group, weights=segments.lengths[groups.segment] + 1, minlength=groups.count)
    packed = pack(sizes.astype(np.int64), window)
    first = np.searchsorted(groups.group, np.arange(groups.count + 1))
    counts = np.diff(first)[packed.document]
    slots = _ranges(first[packed.document], counts)
    chosen = groups.segment[slots]
    return Slices(
        example=np.repeat(packed.sequence, counts),
        start=segments.offsets[chosen],
        stop=segments.offsets[chosen + 1],
        separated=np.ones(len(slots), dtype=bool),
        anchor=groups.anchor[slots],
    )


def running_slices(
    segments: Segments, documents: Int[np.ndarray, " documents"], lengths: Int[np.ndarray, " examples"]
) -> Slices:
    """Running text: documents one after the other, a separator after each, cut into examples of given lengths.

    Args:
        segments: The corpus.
        documents: Documents in order, as places in ``segments.document_bounds``.
        lengths: Tokens of each example; less text than that gives fewer examples.
    """
    bounds = segments.offsets[segments.document_bounds]
    starts, stops = bounds[documents], bounds[documents + 1]
    ends = np.cumsum(stops - starts + 1)
    # Every document is cut where an example ends; its separator is its last token.
    cuts = np.cumsum(lengths)
    whole = int(np.searchsorted(cuts, ends[-1] if len(ends) else 0, side="right"))
    cuts = cuts[:whole]
    if not whole:
        return _no_slices()
    edges = np.union1d(ends[ends < cuts[-1]], cuts)
    begins = np.concatenate([[0], edges[:-1]])
    owner = np.searchsorted(ends, begins, side="right")
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
    """Documents in an order, packed into windows; a separator ends each document."""
    bounds = segments.offsets[segments.document_bounds]
    starts, sizes = bounds[documents], (bounds[1:] - bounds[:-1])[documents] + 1
    packed: Packing = pack(sizes, window, strategy, buffer=buffer)
    last = packed.start + packed.length == sizes[packed.document]
    start = starts[packed.document] + packed.start
    return Slices(packed.sequence, start, start + packed.length - last, last, np.zeros(len(last), dtype=bool))


def _no_slices() -> Slices:
    none, no = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)
    return Slices(none, none, none, no, no)


def joined(first: Slices, second: Slices) -> Slices:
    """Examples of both, the second's numbered on."""
    return Slices(
        np.concatenate([first.example, second.example + first.count]),
        np.concatenate([first.start, second.start]),
        np.concatenate([first.stop, second.stop]),
        np.concatenate([first.separated, second.separated]),
        np.concatenate([first.anchor, second.anchor]),
    )


def rearranged(slices: Slices, order: Int[np.ndarray, " chosen"]) -> Slices:
    """Chosen examples in a new order."""
    first = np.searchsorted(slices.example, np.arange(slices.count + 1))
    counts = np.diff(first)[order]
    rows = _ranges(first[order], counts)
    example = np.repeat(np.arange(len(order)), counts)
    return Slices(example, slices.start[rows], slices.stop[rows], slices.separated[rows], slices.anchor[rows])


def _ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """All numbers from start to start + count, range after range."""
    before = np.repeat(np.cumsum(counts) - counts, counts)
    return np.arange(int(counts.sum())) - before + np.repeat(starts, counts)


@dataclass(frozen=True)
class Parts:
    """What examples are made of, segment by segment: the flat form that is written and audited."""

    example: Int[np.ndarray, " parts"]
    """Example of each part, rising."""
    segment: Int[np.ndarray, " parts"]
    """Segment that the part is, or is cut from."""
    length: Int[np.ndarray, " parts"]
    """Tokens, a separator included."""
    anchor: Bool[np.ndarray, " parts"]
    """Whether the part is an anchor."""


def parts_of(slices: Slices, segments: Segments) -> Parts:
    """Slices cut at the borders of segments."""
    # A slice that is nothing but a separator belongs to the segment that it ends.
    inside = np.where(slices.stop > slices.start, slices.start, slices.start - 1)
    first = np.searchsorted(segments.offsets, inside, side="right") - 1
    last = np.searchsorted(segments.offsets, np.maximum(slices.stop, inside + 1), side="left")
    counts = last - first
    owner = np.repeat(np.arange(len(first)), counts)
    segment = _ranges(first, counts)
    begin = np.maximum(segments.offsets[segment], slices.start[owner])
    end = np.minimum(segments.offsets[segment + 1], slices.stop[owner])
    closing = np.cumsum(counts) - 1
    length = np.maximum(end - begin, 0)
    length[closing] += slices.separated
    kept = length > 0
    return Parts(slices.example[owner][kept], segment[kept], length[kept], slices.anchor[owner][kept])


def write_examples(slices: Slices, segments: Segments, separator: int, path: Path) -> None:
    """Writes examples as Parquet, in row groups of a few thousand."""
    arrow: Any = require("pyarrow", extra="data")
    parquet: Any = require("pyarrow.parquet", extra="data")
    whole, small = arrow.large_list(arrow.int32()), arrow.list_(arrow.int32())
    wide = arrow.list_(arrow.int64())
    schema = arrow.schema(list(zip(COLUMNS, (whole, small, wide, wide, small), strict=True)))
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for block in _blocks(slices):
            writer.write_table(arrow.table(_columns(block, segments, separator, arrow), schema=schema))


def _blocks(slices: Slices) -> Iterator[Slices]:
    for start in range(0, slices.count, _ROWS_PER_GROUP):
        yield rearranged(slices, np.arange(start, min(slices.count, start + _ROWS_PER_GROUP)))


def _columns(block: Slices, segments: Segments, separator: int, arrow: Any) -> list[Any]:
    sizes = block.stop - block.start
    rows = _ranges(block.start, sizes + block.separated)
    tokens = segments.tokens[np.minimum(rows, len(segments.tokens) - 1)].astype(np.int32)
    tokens[(np.cumsum(sizes + block.separated) - 1)[block.separated]] = separator
    parts = parts_of(block, segments)
    place = np.arange(len(parts.example)) - np.searchsorted(parts.example, parts.example)
    numbers = np.arange(block.count + 1)
    token_offsets = np.concatenate([[0], np.cumsum(block.lengths)])
    part_offsets = np.searchsorted(parts.example, numbers).astype(np.int32)
    anchor_offsets = np.searchsorted(parts.example[parts.anchor], numbers).astype(np.int32)

    def lists(offsets: np.ndarray, values: np.ndarray, kind: Any) -> Any:
        return arrow.ListArray.from_arrays(offsets, arrow.array(values, kind))

    return [
        arrow.LargeListArray.from_arrays(token_offsets, arrow.array(tokens, arrow.int32())),
        lists(part_offsets, parts.length, arrow.int32()),
        lists(part_offsets, parts.segment, arrow.int64()),
        lists(part_offsets, segments.document[parts.segment], arrow.int64()),
        lists(anchor_offsets, place[parts.anchor], arrow.int32()),
    ]
