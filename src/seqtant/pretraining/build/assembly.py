"""Puts the arms of a build together: equal budgets, equal lengths, and the same running text wherever there is some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from seqtant.pretraining.build.pipeline import Pipeline
from seqtant.pretraining.examples.conditions import (
    Groups,
    ordered,
    passage_groups,
    random_groups,
    sentence_groups,
    split_groups,
)
from seqtant.pretraining.examples.examples import (
    Slices,
    group_slices,
    joined,
    packed_slices,
    rearranged,
    running_slices,
)
from seqtant.pretraining.retrieval.filtering import filter_neighbors
from seqtant.pretraining.retrieval.neighbors import Neighbors, search
from seqtant.pretraining.retrieval.ordering import stream_order, tour
from seqtant.pretraining.sections import Arm, ExampleSettings, FilterSettings


@dataclass(frozen=True)
class Counts:
    """What a build met on its way: what could not be done as asked, and how long it took."""

    anchors_without_neighbors: int
    """Segments of the pool that no neighbor was left for."""
    unchanged: dict[str, int]
    """By control arm: slots whose segment stayed with its anchor, the only one of its length."""
    seconds: dict[str, float]
    """Wall time by stage; next to nothing where what an earlier run made was taken."""


class Assembly:
    """The examples of every arm.

    Args:
        pipeline: Segments and filtered neighbors.
        seed: Seed of the choice of anchors, of controls and of the order.
    """

    def __init__(self, pipeline: Pipeline, seed: int) -> None:
        self.pipeline, self.seed = pipeline, seed
        self.settings: ExampleSettings = pipeline.config.examples
        self.segments = pipeline.segments
        self._unchanged: dict[str, int] = {}

    def _generator(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose])

    @cached_property
    def documents(self) -> Int[np.ndarray, " documents"]:
        """Documents that are not held out, as places in ``segments.document_bounds``."""
        return np.flatnonzero(~self.segments.held_out[self.segments.document_bounds[:-1]])

    @cached_property
    def budget(self) -> int:
        """Tokens of an arm: those of the corpus without what is held out, a separator per document."""
        return int(self.segments.lengths[~self.segments.held_out].sum()) + len(self.documents)

    @cached_property
    def _pool_neighbors(self) -> tuple[np.ndarray, Neighbors]:
        size = int(self.pipeline.pool.sum())
        found = self.pipeline.filtered.neighbors
        return self.pipeline.queries[:size], Neighbors(found.ids[:size], found.similarity[:size])

    @property
    def anchors_without_neighbors(self) -> int:
        """Segments of the pool that no neighbor was left for."""
        return int((self._pool_neighbors[1].ids < 0).all(axis=1).sum())

    @cached_property
    def groups(self) -> Groups:
        """The related groups, as many as the share of the budget takes."""
        anchors, found = self._pool_neighbors
        order = self._generator(1).permutation(len(anchors))
        make = sentence_groups if self.settings.unit == "sentence" else passage_groups
        chosen = Neighbors(found.ids[order], found.similarity[order])
        groups = make(self.segments, anchors[order], chosen, self.settings.window)
        sizes = np.bincount(groups.group, weights=self.segments.lengths[groups.segment] + 1, minlength=groups.count)
        enough = int(np.searchsorted(np.cumsum(sizes), self.settings.share * self.budget, side="right"))
        kept = groups.group < enough
        return Groups(groups.group[kept], groups.segment[kept], groups.anchor[kept])

    @cached_property
    def foreign_lengths(self) -> Int[np.ndarray, " examples"]:
        """Tokens of the examples that are made of groups; the same in every such arm."""
        return group_slices(self.groups, self.segments, self.settings.window).lengths

    @cached_property
    def running(self) -> Slices:
        """The running text that is mixed into the arms made of groups."""
        rest = max(0, self.budget - int(self.foreign_lengths.sum()))
        return self._running(np.full(rest // self.settings.window, self.settings.window))

    def _running(self, lengths: np.ndarray) -> Slices:
        # Twice, in two orders: an arm whose examples are not all full needs a little more text than there is.
        generator = self._generator(2)
        documents = np.concatenate([generator.permutation(self.documents) for _ in range(2)])
        return running_slices(self.segments, documents, lengths)

    def arm(self, name: Arm) -> Slices:
        """The examples of one arm, shuffled: related examples do not stand in one batch."""
        made = self._makers[name]()
        return rearranged(made, self._generator(3).permutation(made.count))

    @property
    def _makers(self) -> dict[Arm, Callable[[], Slices]]:
        return {
            "knn": lambda: self._mixed(self.groups),
            "random": self._random,
            "split": self._split,
            "contiguous": self._contiguous,
            "tour": lambda: self._along(tour(self._document_neighbors(), seed=self.seed).order),
            "stream": lambda: self._along(stream_order(self.document_vectors, buffer=self.settings.buffer)),
        }

    def _mixed(self, groups: Groups) -> Slices:
        placed = ordered(groups, self.settings.order, self._generator(4))
        return joined(group_slices(placed, self.segments, self.settings.window), self.running)

    def _random(self) -> Slices:
        pool = np.flatnonzero(self.pipeline.pool)
        control = random_groups(self.groups, self.segments, pool, self._generator(5))
        self._unchanged["random"] = control.unchanged
        return self._mixed(control.groups)

    def _split(self) -> Slices:
        control = split_groups(self.groups, self.segments, self._generator(6))
        self._unchanged["split"] = control.unchanged
        return self._mixed(control.groups)

    def _contiguous(self) -> Slices:
        return self._running(np.concatenate([self.foreign_lengths, self.running.lengths]))

    def _along(self, order: np.ndarray) -> Slices:
        settings = self.settings
        documents = self.documents[order]
        return packed_slices(self.segments, documents, settings.window, settings.strategy, settings.buffer)

    @cached_property
    def document_vectors(self) -> Float[np.ndarray, "documents dimension"]:
        """Mean vector of the eligible segments of each document, of length 1."""
        starts = self.segments.document_bounds[:-1]
        sums = np.add.reduceat(self.pipeline.vectors, starts, axis=0)[self.documents]
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        return np.where(norms > 1e-9, sums / np.maximum(norms, 1e-9), 0).astype(np.float32)

    def _document_neighbors(self) -> Neighbors:
        """Neighbors among documents: near-duplicates go, everything else stays."""
        vectors = self.document_vectors
        found = search(vectors, vectors, self.pipeline.config.neighbors)
        rules = FilterSettings(
            k=self.pipeline.config.neighbors.candidates,
            most_similar=self.pipeline.config.filter.most_similar,
            least_percentile=0.0,
            hub_cap=len(vectors),
        )
        places = np.arange(len(vectors))
        return filter_neighbors(found, places, places, rules).neighbors

    def evaluation(self) -> Slices:
        """One example per held-out segment that has neighbors: its neighbors, then the segment itself."""
        size = int(self.pipeline.pool.sum())
        found = self.pipeline.filtered.neighbors
        groups = sentence_groups(
            self.segments,
            self.pipeline.queries[size:],
            Neighbors(found.ids[size:], found.similarity[size:]),
            self.settings.window,
        )
        chosen = groups.segment
        return Slices(
            example=groups.group,
            start=self.segments.offsets[chosen],
            stop=self.segments.offsets[chosen + 1],
            separated=np.ones(len(chosen), dtype=bool),
            anchor=groups.anchor,
        )

    def held_out(self) -> Slices:
        """Running text of the held-out documents."""
        starts = self.segments.document_bounds[:-1]
        documents = np.flatnonzero(self.segments.held_out[starts])
        tokens = int(self.segments.lengths[self.segments.held_out].sum()) + len(documents)
        return running_slices(self.segments, documents, np.full(tokens // self.settings.window, self.settings.window))

    @property
    def counts(self) -> Counts:
        """What was met in the arms made so far."""
        return Counts(self.anchors_without_neighbors, dict(self._unchanged), dict(self.pipeline.workspace.seconds))
