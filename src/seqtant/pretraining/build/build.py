"""Writes a whole build into a folder, and opens one: examples by arm, and a manifest that names every file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

import seqtant
from seqtant.errors import InputError, suggest
from seqtant.optional import require
from seqtant.pretraining.build.assembly import Assembly, Counts
from seqtant.pretraining.build.pipeline import Pipeline, read_vectors
from seqtant.pretraining.build.workspace import Workspace, read_manifest
from seqtant.pretraining.config import BuildConfig
from seqtant.pretraining.corpus.segments import Segments, read_segments
from seqtant.pretraining.examples.examples import Slices, write_examples
from seqtant.pretraining.retrieval.filtering import Filtered, load_filtered
from seqtant.pretraining.retrieval.neighbors import load_recall
from seqtant.progress import SILENT, Progress, track
from seqtant.settings import plain

HELD_OUT, EVALUATION = "held_out", "evaluation"


def build(config: BuildConfig, folder: Path, *, seed: int = 0, progress: Progress = SILENT) -> tuple[Build, Counts]:
    """Builds examples; what a killed run has done is not done again.

    Args:
        config: What to build.
        folder: Where stages, examples and the manifest go.
        seed: Seed of the choice of anchors, of controls and of the order of examples.
        progress: Told how far each stage is.

    Returns:
        The build, and what was met on the way.

    Raises:
        InputError: A source cannot be used, or the folder holds the build of other inputs.
    """
    workspace = Workspace(folder)
    pipeline = Pipeline(config, workspace, progress)
    assembly = Assembly(pipeline, seed)
    key = {"segments": [path.name for path in pipeline.segment_paths], "filtered": pipeline.filtered_path.name}
    key |= plain(config.examples) | {"seed": seed, "hold_out": config.segment.hold_out}
    del key["arms"]
    written: dict[str, Any] = {}
    makers = {arm: partial(assembly.arm, arm) for arm in config.examples.arms}
    if config.segment.hold_out:
        makers |= {HELD_OUT: assembly.held_out, EVALUATION: assembly.evaluation}
    for name, make in track(makers.items(), progress, "examples", len(makers)):
        with workspace.timed("examples"):
            slices = make()
        path = workspace.once(
            "examples",
            key | {"arm": name},
            ".parquet",
            lambda to, s=slices: write_examples(s, pipeline.segments, pipeline.tokenizer.separator, to),
        )
        written[name] = _entry(path, slices, folder)
    _write_manifest(pipeline, written, seed)
    return Build(folder), assembly.counts


def _entry(path: Path, slices: Slices, folder: Path) -> dict[str, Any]:
    return {
        "path": str(path.relative_to(folder)),
        "examples": slices.count,
        "tokens": int(slices.lengths.sum()),
    }


def _write_manifest(pipeline: Pipeline, written: dict[str, Any], seed: int) -> None:
    folder = pipeline.workspace.folder

    def names(paths: list[Path]) -> list[str]:
        return [str(path.relative_to(folder)) for path in paths]

    settings = plain(pipeline.config)
    del settings["workers"]
    pipeline.workspace.write_manifest(
        {
            "seqtant": seqtant.__version__,
            "inputs": pipeline.inputs,
            "config": settings,
            "seed": seed,
            "documents": [count for _, count in pipeline.shards],
            "segments": names(pipeline.segment_paths),
            "vectors": names(pipeline.vector_paths),
            "neighbors": names([pipeline.neighbors_path])[0],
            "filtered": names([pipeline.filtered_path])[0],
            "tokenizer": names([pipeline.tokenizer_path])[0] if pipeline.config.segment.tokenizer == "bpe" else None,
            "vocabulary": pipeline.tokenizer.vocabulary,
            "separator": pipeline.tokenizer.separator,
            "window": pipeline.config.examples.window,
            "examples": written,
        }
    )


@dataclass(frozen=True)
class Build:
    """A folder of examples.

    Raises:
        InputError: (On reading) the folder holds no build, or a file of it is missing.
    """

    folder: Path
    """Where it lies."""

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Everything that is known about it."""
        return read_manifest(self.folder)

    @property
    def arms(self) -> list[str]:
        """The arms there are, in the order in which they were asked for."""
        there = self.manifest["examples"]
        return [arm for arm in self.manifest["config"]["examples"]["arms"] if arm in there]

    @property
    def window(self) -> int:
        """Tokens of an example."""
        return int(self.manifest["window"])

    def path(self, arm: str) -> Path:
        """The Parquet file of an arm, of ``held_out`` or of ``evaluation``.

        Raises:
            InputError: There is no such arm, or its file is gone.
        """
        known = self.manifest["examples"]
        if arm not in known:
            raise InputError(f"'{self.folder}' has no arm '{arm}'{suggest(arm, known)}: it has {', '.join(known)}")
        return self._there(known[arm]["path"])

    def _there(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise InputError(f"'{path}' is missing: build again, what is there will be used")
        return path

    @cached_property
    def segments(self) -> Segments:
        """All segments of the corpus."""
        paths = [self._there(name) for name in self.manifest["segments"]]
        hold_out = self.manifest["config"]["segment"]["hold_out"]
        return read_segments(paths, self.manifest["documents"], hold_out=hold_out)

    @cached_property
    def vectors(self) -> Float[np.ndarray, "segments dimension"]:
        """Vectors of all segments; zero for those that are not eligible."""
        return read_vectors([self._there(name) for name in self.manifest["vectors"]], self.segments)

    @cached_property
    def filtered(self) -> Filtered:
        """Neighbors that passed the rules."""
        return load_filtered(self._there(self.manifest["filtered"]))

    @property
    def recall(self) -> Float[np.ndarray, " sample"]:
        """Share of the true nearest neighbors found, per query of a sample."""
        return load_recall(self._there(self.manifest["neighbors"]))

    def column(self, arm: str, name: str) -> tuple[np.ndarray, np.ndarray]:
        """One list column of an arm: all values end to end, and where each example's begin (one more at the end)."""
        parquet: Any = require("pyarrow.parquet", extra="data")
        lists = parquet.read_table(self.path(arm), columns=[name]).column(name).combine_chunks()
        chunks = lists.chunks if hasattr(lists, "chunks") else [lists]
        values = [chunk.flatten().to_numpy() for chunk in chunks] or [np.zeros(0, dtype=np.int64)]
        lengths = [np.diff(chunk.offsets.to_numpy()) for chunk in chunks] or [np.zeros(0, dtype=np.int64)]
        return np.concatenate(values), np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)

    def tokens(self, arm: str) -> Iterator[np.ndarray]:
        """Token ids of each example of an arm."""
        values, offsets = self.column(arm, "input_ids")
        for start, stop in itertools.pairwise(offsets.tolist()):
            yield values[start:stop]
