"""Builds training examples into a folder, arm by arm, with a manifest that names every file; opens such a folder.

Arms have equal budgets and equal example lengths, and share the same running text wherever they hold some.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

import seqtant
from seqtant.errors import InputError, suggest
from seqtant.optional import require
from seqtant.pretraining.build.pipeline import (
    EmbeddedCorpus,
    RelatedSegments,
    embed_corpus,
    find_neighbors,
    load_neighbors,
    read_vectors,
)
from seqtant.pretraining.build.workspace import MANIFEST, Workspace, read_manifest, run_jobs
from seqtant.pretraining.config import BuildConfig
from seqtant.pretraining.corpus.segments import AnyTokenizer, Segments, open_tokenizer, read_segments
from seqtant.pretraining.examples.examples import (
    Groups,
    Slices,
    group_slices,
    order_groups,
    packed_slices,
    passage_groups,
    random_groups,
    running_slices,
    segment_slices,
    sentence_groups,
    split_groups,
    take_examples,
    write_examples,
)
from seqtant.pretraining.retrieval.neighbors import Filtered, Neighbors, filter_neighbors, load_filtered, search
from seqtant.pretraining.retrieval.ordering import stream_order, tour
from seqtant.pretraining.sections import Arm, FilterSettings, Sources
from seqtant.progress import SILENT, Progress, track
from seqtant.runs.files import write_text
from seqtant.settings import plain
from seqtant.sources import ObjectOrPath, is_path

HELD_OUT, EVALUATION = "held_out", "evaluation"
# Every purpose has random numbers of its own, so that no arm depends on which others are built.
_ANCHORS, _RUNNING, _SHUFFLE, _ORDER, _RANDOM, _SPLIT = range(1, 7)


@dataclass(frozen=True)
class Counts:
    """What could not be done as asked, and how long the stages took."""

    anchors_without_neighbors: int
    """Segments of the pool that have no neighbor left."""
    unchanged: dict[str, int]
    """By control arm: slots whose segment stayed with its anchor, the only one of its length."""
    seconds: dict[str, float]
    """Wall time by stage; close to 0 for stages made by an earlier run."""


class Assembly:
    """Makes the examples of every arm."""

    def __init__(self, config: BuildConfig, corpus: EmbeddedCorpus, related: RelatedSegments, seed: int) -> None:
        self.config, self.corpus, self.related, self.seed = config, corpus, related, seed
        self.settings, self.segments = config.examples, corpus.segments
        self.unchanged: dict[str, int] = {}
        # Documents that are not held out, as indices into ``segments.document_bounds``.
        self.documents = np.flatnonzero(~self.segments.held_out[self.segments.document_bounds[:-1]])
        # Tokens of an arm: those of the corpus without what is held out, and a separator per document.
        self.budget = int(self.segments.lengths[~self.segments.held_out].sum()) + len(self.documents)
        # Queries begin with the pool; the held-out segments follow.
        self.pool_size = int(related.pool.sum())

    def _generator(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose])

    @cached_property
    def groups(self) -> Groups:
        """The related groups, as many as the share of the budget holds."""
        found = self.related.filtered.neighbors
        order = self._generator(_ANCHORS).permutation(self.pool_size)
        make = sentence_groups if self.settings.unit == "sentence" else passage_groups
        chosen = Neighbors(found.ids[order], found.similarity[order])
        groups = make(self.segments, self.related.queries[order], chosen, self.settings.window)
        sizes = np.bincount(groups.group, weights=self.segments.lengths[groups.segment] + 1, minlength=groups.count)
        # The first groups, in random order, whose tokens stay within the share of the budget.
        # Side right counts the cumulative sums that are at most the share.
        enough = int(np.searchsorted(np.cumsum(sizes), self.settings.share * self.budget, side="right"))
        kept = groups.group < enough
        return Groups(groups.group[kept], groups.segment[kept], groups.anchor[kept])

    @cached_property
    def group_lengths(self) -> Int[np.ndarray, " examples"]:
        """Tokens of the examples that are made of groups: the same in every such arm."""
        return group_slices(self.groups, self.segments, self.settings.window).lengths

    @cached_property
    def running(self) -> Slices:
        """The running text that is mixed into the arms made of groups."""
        rest = max(0, self.budget - int(self.group_lengths.sum()))
        return self._running_text(np.full(rest // self.settings.window, self.settings.window))

    def _running_text(self, lengths: np.ndarray) -> Slices:
        # Twice, in two orders: an arm whose examples are not all full needs a little more text than there is.
        generator = self._generator(_RUNNING)
        documents = np.concatenate([generator.permutation(self.documents) for _ in range(2)])
        return running_slices(self.segments, documents, lengths)

    def arm(self, name: Arm) -> Slices:
        """Makes the examples of one arm, shuffled: related examples are not in one batch."""
        settings = self.settings
        if name in ("tour", "stream"):
            # Mean vector of the eligible segments of each document, scaled to length 1.
            starts = self.segments.document_bounds[:-1]
            # A sum has the direction of the mean; segments that are not eligible are zero and add nothing.
            sums = np.add.reduceat(self.corpus.vectors, starts, axis=0)[self.documents]
            norms = np.linalg.norm(sums, axis=1, keepdims=True)
            vectors = np.where(norms > 1e-9, sums / np.maximum(norms, 1e-9), 0).astype(np.float32)
            if name == "stream":
                order = stream_order(vectors, buffer=settings.buffer)
            else:
                # Near-duplicates are no neighbors; every other rule is switched off.
                rules = FilterSettings(
                    k=self.config.neighbors.candidates,
                    most_similar=self.config.filter.most_similar,
                    least_percentile=0.0,
                    hub_cap=len(vectors),
                )
                numbers = np.arange(len(vectors))
                found = filter_neighbors(search(vectors, vectors, self.config.neighbors), numbers, numbers, rules)
                order = tour(found.neighbors, seed=self.seed).order
            documents = self.documents[order]
            made = packed_slices(self.segments, documents, settings.window, settings.strategy, settings.buffer)
        elif name == "contiguous":
            made = self._running_text(np.concatenate([self.group_lengths, self.running.lengths]))
        else:
            groups = self.groups
            if name == "random":
                pool = np.flatnonzero(self.related.pool)
                groups, self.unchanged[name] = random_groups(groups, self.segments, pool, self._generator(_RANDOM))
            elif name == "split":
                groups, self.unchanged[name] = split_groups(groups, self.segments, self._generator(_SPLIT))
            placed = order_groups(groups, settings.order, self._generator(_ORDER))
            made = group_slices(placed, self.segments, settings.window).followed_by(self.running)
        return take_examples(made, self._generator(_SHUFFLE).permutation(made.count))

    def evaluation(self) -> Slices:
        """Makes one example per held-out segment that has neighbors: its neighbors, then the segment itself."""
        found, queries = self.related.filtered.neighbors, self.related.queries[self.pool_size :]
        own = Neighbors(found.ids[self.pool_size :], found.similarity[self.pool_size :])
        groups = sentence_groups(self.segments, queries, own, self.settings.window)
        return segment_slices(groups.group, groups.segment, groups.anchor, self.segments)

    def held_out(self) -> Slices:
        """Makes examples of running text from the held-out documents."""
        documents = np.flatnonzero(self.segments.held_out[self.segments.document_bounds[:-1]])
        tokens = int(self.segments.lengths[self.segments.held_out].sum()) + len(documents)
        return running_slices(self.segments, documents, np.full(tokens // self.settings.window, self.settings.window))


def build_folder(
    config: BuildConfig, folder: Path, *, seed: int = 0, progress: Progress = SILENT
) -> tuple[Build, Counts]:
    """Builds training examples; what a killed run has finished is not done again.

    Returned are the build, and the counts of what could not be done as asked.
    """
    workspace, hold_out = Workspace(folder), config.segment.hold_out
    corpus = embed_corpus(
        config.corpus,
        config.segment,
        config.embed,
        workspace,
        lambda stage, jobs: run_jobs(jobs, workers=config.workers, name=stage, progress=progress),
    )
    related = find_neighbors(corpus, config.neighbors, config.filter, hold_out, workspace, progress)
    assembly = Assembly(config, corpus, related, seed)
    key = {"segments": [path.name for path in corpus.segment_paths], "filtered": related.filtered_path.name}
    key |= plain(config.examples) | {"seed": seed, "hold_out": hold_out}
    # An arm does not depend on which others are built: files are shared between builds of other arms.
    del key["arms"]
    written: dict[str, Any] = {}
    makers = {arm: partial(assembly.arm, arm) for arm in config.examples.arms}
    if hold_out:
        makers |= {HELD_OUT: assembly.held_out, EVALUATION: assembly.evaluation}
    for name, make in track(makers.items(), progress, "examples", len(makers)):
        # Slices are made even if the file exists: the manifest and the counts need them.
        with workspace.timed("examples"):
            slices = make()
        path = workspace.once(
            "examples",
            key | {"arm": name},
            ".parquet",
            lambda to, s=slices: write_examples(s, corpus.segments, corpus.tokenizer.separator, to),
        )
        written[name] = {
            "path": str(path.relative_to(folder)),
            "examples": slices.count,
            "tokens": int(slices.lengths.sum()),
        }
    settings = plain(config)
    # The number of workers changes no byte, so the manifest must not name it.
    del settings["workers"]
    kept = not is_path(config.segment.tokenizer) or config.segment.tokenizer == "bpe"
    manifest = {
        "seqtant": seqtant.__version__,
        "inputs": corpus.inputs,
        "config": settings,
        "seed": seed,
        "documents": corpus.documents,
        "segments": [str(path.relative_to(folder)) for path in corpus.segment_paths],
        "vectors": [str(path.relative_to(folder)) for path in corpus.vector_paths],
        "neighbors": str(related.neighbors_path.relative_to(folder)),
        "filtered": str(related.filtered_path.relative_to(folder)),
        "tokenizer": str(corpus.tokenizer_path.relative_to(folder)) if kept else None,
        "vocabulary": corpus.tokenizer.vocabulary,
        "separator": corpus.tokenizer.separator,
        "window": config.examples.window,
        "examples": written,
    }
    # The manifest comes last: a folder that has one is complete.
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    lonely = int((related.filtered.neighbors.ids[: assembly.pool_size] < 0).all(axis=1).sum())
    return Build(folder), Counts(lonely, assembly.unchanged, dict(workspace.seconds))


@dataclass(frozen=True)
class Build:
    """Examples built from a corpus, arm by arm, in a folder that :meth:`from_corpus` or ``build_examples`` wrote.

    Raises:
        InputError: (On reading) the folder holds no build, or a file of it is missing.

    Example:
        >>> documents = [f"Thing {n} lies in box {n % 7}. Box {n % 7} stands in room {n % 3}." for n in range(60)]
        >>> built = Build.from_corpus([documents], segment={"tokenizer": "bytes"}, examples={"window": 128})
        >>> built.arms
        ['knn', 'random', 'split', 'contiguous']
    """

    folder: Path
    """Where it is."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder).expanduser())

    @classmethod
    def from_corpus(
        cls,
        corpus: Sources = "reference",
        folder: str | Path | None = None,
        *,
        seed: int = 0,
        progress: Progress = SILENT,
        **settings: Any,
    ) -> Build:
        """Builds training examples.

        Args:
            corpus: Files, ``reference``, or documents in memory, as in ``build_examples``.
            folder: Where they go; by default a temporary folder that is deleted with the object.
            seed: Seed of the choice of anchors, of the controls and of the order of examples.
            progress: Reports the progress of each stage.
            **settings: Sections of :class:`BuildConfig`: ``segment``, ``embed``, ``neighbors``, ``filter``,
                ``examples``, each an object or a dictionary.

        Raises:
            InputError: A source cannot be used, a setting does not fit, or the folder holds the build of other inputs.
        """
        config = BuildConfig(corpus=corpus, **settings)
        place = Path(tempfile.mkdtemp() if folder is None else folder).expanduser()
        built = build_folder(config, place, seed=seed, progress=progress)[0]
        if folder is None:
            weakref.finalize(built, shutil.rmtree, place, ignore_errors=True)
        return built

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The content of the manifest."""
        return read_manifest(self.folder)

    @property
    def arms(self) -> list[str]:
        """The arms that exist, in the order of the configuration."""
        known = self.manifest["examples"]
        return [arm for arm in self.manifest["config"]["examples"]["arms"] if arm in known]

    @property
    def window(self) -> int:
        """Tokens of an example."""
        return int(self.manifest["window"])

    def path(self, arm: str) -> Path:
        """Finds the Parquet file of an arm, of ``held_out`` or of ``evaluation``.

        Raises:
            InputError: There is no such arm, or its file is missing.
        """
        known = self.manifest["examples"]
        if arm not in known:
            raise InputError(f"'{self.folder}' has no arm '{arm}'{suggest(arm, known)}: it has {', '.join(known)}")
        return self._file(known[arm]["path"])

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise InputError(f"'{path}' is missing: build again, what is there will be used")
        return path

    @cached_property
    def tokenizer(self) -> AnyTokenizer:
        """The tokenizer that made the tokens.

        Raises:
            InputError: It cannot be read.
        """
        written = self.manifest["tokenizer"]
        name = "bpe" if written else self.manifest["config"]["segment"]["tokenizer"]
        return open_tokenizer(name, self.folder / (written or ""))

    @cached_property
    def segments(self) -> Segments:
        """All segments of the corpus."""
        paths = [self._file(name) for name in self.manifest["segments"]]
        hold_out = self.manifest["config"]["segment"]["hold_out"]
        return read_segments(paths, self.manifest["documents"], hold_out=hold_out)

    @cached_property
    def vectors(self) -> Float[np.ndarray, "segments dimension"]:
        """Vectors of all segments; zero for those that are not eligible."""
        return read_vectors([self._file(name) for name in self.manifest["vectors"]], self.segments)

    @cached_property
    def filtered(self) -> Filtered:
        """Neighbors that passed the filters."""
        return load_filtered(self._file(self.manifest["filtered"]))

    @property
    def recall(self) -> Float[np.ndarray, " sample"]:
        """Share of the true nearest neighbors that were found, per query of a sample."""
        return load_neighbors(self._file(self.manifest["neighbors"]))[1]

    def column(self, arm: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Reads a list column of an arm: values end to end, and the offset of each example (one more at the end)."""
        parquet: Any = require("pyarrow.parquet", extra="data")
        lists = parquet.read_table(self.path(arm), columns=[name]).column(name).combine_chunks()
        chunks = lists.chunks if hasattr(lists, "chunks") else [lists]
        values = [chunk.flatten().to_numpy() for chunk in chunks] or [np.zeros(0, dtype=np.int64)]
        lengths = [np.diff(chunk.offsets.to_numpy()) for chunk in chunks] or [np.zeros(0, dtype=np.int64)]
        return np.concatenate(values), np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)

    def tokens(self, arm: str) -> Iterator[np.ndarray]:
        """Yields the token ids of each example of an arm."""
        values, offsets = self.column(arm, "input_ids")
        for start, stop in itertools.pairwise(offsets.tolist()):
            yield values[start:stop]


@contextmanager
def open_or_build(
    build: ObjectOrPath | None, small: BuildConfig, *, seed: int = 0, progress: Progress = SILENT
) -> Iterator[Build]:
    """Opens a build, or takes one in memory; without any, builds a small one, deleted at the end of the block."""
    if isinstance(build, Build) or is_path(build):
        yield build if isinstance(build, Build) else Build(Path(build))
        return
    if build is not None:
        raise InputError(f"{build!r:.60} is no build: give a folder that 'seqtant pretraining build' wrote, or a Build")
    with tempfile.TemporaryDirectory() as place:
        yield build_folder(small, Path(place), seed=seed, progress=progress)[0]
