"""The arms of an experiment on what shares an example: the same budget, the same lengths, only the company differs.

An example is made of slices of the corpus' tokens. Groups (an anchor with foreign segments) and running text are both
rows of slices; what differs between arms is which slices stand together, never how many tokens there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from seqtant.pretraining.corpus.segments import Segments
from seqtant.pretraining.retrieval.neighbors import Neighbors

Order = Literal["neighbors-first", "anchor-first", "shuffled"]


@dataclass(frozen=True)
class Groups:
    """Anchors, each with its company; rows of segments end to end."""

    group: Int[np.ndarray, " slots"]
    """Group of each slot, rising."""
    segment: Int[np.ndarray, " slots"]
    """Segment in each slot."""
    anchor: Bool[np.ndarray, " slots"]
    """Whether the slot holds (a part of) the anchor."""

    @property
    def count(self) -> int:
        """Number of groups."""
        return int(self.group[-1]) + 1 if len(self.group) else 0


def sentence_groups(
    segments: Segments,
    anchors: Int[np.ndarray, " anchors"],
    found: Neighbors,
    window: int,
) -> Groups:
    """One group per anchor: its neighbors, the least similar first, then the anchor itself.

    Neighbors are added, the most similar first, while the group fits into the window; a separator follows each
    segment. Anchors without neighbors make no group.

    Args:
        segments: The corpus.
        anchors: Segment of each anchor.
        found: Neighbors of each anchor, as segments.
        window: Most tokens of a group.
    """
    sizes = segments.lengths + 1
    lengths = np.where(found.ids >= 0, sizes[found.ids], 0)
    fits = (np.cumsum(lengths, axis=1) + sizes[anchors][:, None] <= window) & (found.ids >= 0)
    fits = np.logical_and.accumulate(fits | (found.ids < 0), axis=1) & (found.ids >= 0)
    chosen = fits.any(axis=1)
    members = np.concatenate([found.ids[chosen][:, ::-1], anchors[chosen][:, None]], axis=1)
    there = np.concatenate([fits[chosen][:, ::-1], np.ones((int(chosen.sum()), 1), dtype=bool)], axis=1)
    group = np.repeat(np.arange(len(members)), there.sum(axis=1))
    place = np.broadcast_to(np.arange(members.shape[1]) == members.shape[1] - 1, members.shape)
    return Groups(group, members[there], place[there])


def passage_groups(
    segments: Segments,
    anchors: Int[np.ndarray, " anchors"],
    found: Neighbors,
    window: int,
) -> Groups:
    """Groups of running text of up to half a window and the neighbors of its segments, up to the window.

    Args:
        segments: The corpus.
        anchors: Segments that have neighbors, in any order; each begins a passage unless an earlier one covered it.
        found: Neighbors of each anchor, as segments.
        window: Most tokens of a group.
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
        company = _company([row_of[s] for s in passage if s in row_of], found, segments.document)
        chosen = _prefix(company, sizes, window - int(sizes[passage].sum()))
        if passage and chosen:
            covered[passage] = True
            rows.append((chosen[::-1], passage))
    group = np.repeat(np.arange(len(rows)), [len(a) + len(b) for a, b in rows]) if rows else np.zeros(0, dtype=np.int64)
    segment = np.array([s for a, b in rows for s in (*a, *b)], dtype=np.int64)
    anchor = np.array([which for a, b in rows for which in (*([False] * len(a)), *([True] * len(b)))], dtype=bool)
    return Groups(group, segment, anchor)


def _prefix(candidates: range | list[int], sizes: np.ndarray, budget: int) -> list[int]:
    """Candidates in order while they fit."""
    chosen: list[int] = []
    for each in candidates:
        budget -= int(sizes[each])
        if budget < 0:
            break
        chosen.append(each)
    return chosen


def _company(rows: list[int], found: Neighbors, document: np.ndarray) -> list[int]:
    """Neighbors of several segments, the most similar first, one per document."""
    pairs = sorted(
        (-float(similarity), int(segment))
        for row in rows
        for segment, similarity in zip(found.ids[row], found.similarity[row], strict=True)
        if segment >= 0
    )
    first: dict[int, int] = {}
    for _, segment in pairs:
        first.setdefault(int(document[segment]), segment)
    return list(first.values())


def ordered(groups: Groups, order: Order, generator: np.random.Generator) -> Groups:
    """Puts each group into the order asked for; groups are made with neighbors first."""
    if order == "neighbors-first":
        return groups
    if order == "anchor-first":
        key = np.lexsort((~groups.anchor, groups.group))
    else:
        key = np.lexsort((generator.random(len(groups.group)), groups.group))
    return Groups(groups.group, groups.segment[key], groups.anchor[key])


@dataclass(frozen=True)
class Control:
    """A control arm, and how many slots could not be changed."""

    groups: Groups
    """Groups of the same lengths, slot by slot."""
    unchanged: int
    """Slots whose segment still belongs to their anchor: the only one of its length."""


def random_groups(
    groups: Groups, segments: Segments, pool: Int[np.ndarray, " pool"], generator: np.random.Generator
) -> Control:
    """The same anchors with unrelated company: every neighbor replaced by a drawn segment of the same length.

    Args:
        groups: The related groups.
        segments: The corpus.
        pool: Segments that may be drawn.
        generator: Source of the draws.
    """
    lengths = segments.lengths
    by_length = pool[np.argsort(lengths[pool], kind="stable")]
    sorted_lengths = lengths[by_length]
    drawn = groups.segment.copy()
    open_slots = np.flatnonzero(~groups.anchor)
    for _ in range(16):
        wanted = lengths[groups.segment[open_slots]]
        low = np.searchsorted(sorted_lengths, wanted)
        high = np.searchsorted(sorted_lengths, wanted, side="right")
        drawn[open_slots] = by_length[low + (generator.random(len(open_slots)) * (high - low)).astype(np.int64)]
        changed = replace(groups, segment=drawn)
        open_slots = np.flatnonzero(_related(changed, groups, segments.document))
        if not len(open_slots):
            break
    return Control(replace(groups, segment=drawn), len(open_slots))


def split_groups(groups: Groups, segments: Segments, generator: np.random.Generator) -> Control:
    """The very same segments with related ones apart: neighbors change places with others of their length.

    Args:
        groups: The related groups.
        segments: The corpus.
        generator: Source of the exchange.
    """
    slots = np.flatnonzero(~groups.anchor)
    lengths = segments.lengths[groups.segment[slots]]
    by_length = slots[np.argsort(lengths, kind="stable")]
    sorted_lengths = np.sort(lengths)
    moved = groups.segment.copy()
    moved[by_length] = groups.segment[slots[np.lexsort((generator.random(len(slots)), lengths))]]
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
    return Control(exchanged, int(_related(exchanged, groups, segments.document).sum()))


def _related(changed: Groups, original: Groups, document: np.ndarray) -> np.ndarray:
    """Slots of company that hold a neighbor of their anchor, or a segment of the anchor's document."""
    size = int(max(original.segment.max(initial=0), changed.segment.max(initial=0))) + 1
    pairs = np.unique(original.group * size + original.segment)
    known = np.isin(changed.group * size + changed.segment, pairs)
    home = np.zeros(original.count, dtype=np.int64)
    home[original.group[original.anchor]] = document[original.segment[original.anchor]]
    same_home = document[changed.segment] == home[changed.group] if original.count else known
    return (known | same_home) & ~original.anchor
