"""From a corpus to examples: one stage after the other, each taken from the folder if it is already there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from seqtant.errors import InputError
from seqtant.pretraining.build.shards import EmbedJob, SegmentJob, run_jobs, sampled, text_shards
from seqtant.pretraining.build.workspace import Workspace
from seqtant.pretraining.config import BuildConfig
from seqtant.pretraining.corpus.readers import Corpus, open_corpus
from seqtant.pretraining.corpus.segments import Segments, read_segments, read_texts, segment_texts, write_texts
from seqtant.pretraining.corpus.splitters import find_splitter
from seqtant.pretraining.corpus.tokenizer import AnyTokenizer, learn_tokenizer, open_tokenizer
from seqtant.pretraining.retrieval.encoders import demand_encoder, learn_encoder
from seqtant.pretraining.retrieval.filtering import Filtered, filter_neighbors, load_filtered, save_filtered
from seqtant.pretraining.retrieval.neighbors import choose_index, load_neighbors, recall, search
from seqtant.progress import SILENT, Progress
from seqtant.settings import plain

_TOKENIZER_SAMPLE = 2000
"""Documents from which a tokenizer is learned."""


class Pipeline:
    """The stages up to filtered neighbors, each made when it is first asked for.

    Args:
        config: What to build.
        workspace: Where artifacts are kept.
        progress: Told how far each stage is.

    Raises:
        InputError: A source cannot be read, there is no such tokenizer, splitter or encoder, or the folder holds the
            build of other inputs.
    """

    def __init__(self, config: BuildConfig, workspace: Workspace, progress: Progress = SILENT) -> None:
        self.config, self.workspace, self.progress = config, workspace, progress
        self.corpus: Corpus = open_corpus(config.corpus, field=config.segment.field)
        self._demand_tools()
        workspace.demand_same_inputs(self.inputs)

    def _demand_tools(self) -> None:
        """Refuses names that lead nowhere before any work is done."""
        find_splitter(self.config.segment.splitter)
        demand_encoder(self.config.embed.encoder)
        if self.config.segment.tokenizer != "bpe":
            open_tokenizer(self.config.segment.tokenizer, Path())

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Fingerprints of the corpus and the test sets."""
        tests = open_corpus(self.config.segment.blocklist, field=self.config.segment.field).fingerprints
        return self.corpus.fingerprints | {f"blocklist {name}": print_ for name, print_ in tests.items()}

    @cached_property
    def shards(self) -> list[tuple[Path, int]]:
        """The documents of each shard as Parquet, and their number.

        Raises:
            InputError: There is none.
        """
        found: list[tuple[Path, int]] = []
        for digest, texts in text_shards(self.corpus, self.config.segment.shard_documents):
            path = self.workspace.once("documents", {"sha256": digest}, ".parquet", partial(write_texts, texts))
            found.append((path, len(texts)))
        if not found:
            raise InputError("the corpus holds no document: give one that does")
        return found

    @cached_property
    def tokenizer_path(self) -> Path:
        """The learned tokenizer, made only where it is asked for."""
        settings = self.config.segment
        key = {"of": [path.name for path, _ in self.shards], "vocabulary": settings.vocabulary}
        if settings.tokenizer != "bpe":
            return self.workspace.path("tokenizer", key, "/tokenizer.json")
        total = sum(count for _, count in self.shards)
        return self.workspace.once(
            "tokenizer",
            key,
            "/tokenizer.json",
            lambda to: learn_tokenizer(sampled(self._documents, total, _TOKENIZER_SAMPLE), settings.vocabulary, to),
        )

    def _documents(self) -> Iterator[str]:
        for path, _ in self.shards:
            yield from read_texts(path)

    @cached_property
    def tokenizer(self) -> AnyTokenizer:
        """Gives the tokens of segments."""
        return open_tokenizer(self.config.segment.tokenizer, self.tokenizer_path)

    @cached_property
    def segment_jobs(self) -> list[SegmentJob]:
        """What cuts each shard: independent pieces of work, to be done here or anywhere."""
        settings = self.config.segment
        tests = tuple(open_corpus(settings.blocklist, field=settings.field))
        key = {name: value for name, value in plain(settings).items() if name not in ("blocklist", "hold_out")}
        key |= {"tokenizer": self.tokenizer.fingerprint, "tests": sorted(self.inputs.items()) if tests else []}
        return [
            SegmentJob(
                path=self.workspace.path("segments", key | {"of": path.name}, ".parquet"),
                texts=path,
                settings=settings,
                learned=self.tokenizer_path,
                test_texts=tests,
            )
            for path, _ in self.shards
        ]

    @cached_property
    def segment_paths(self) -> list[Path]:
        """The segments of each shard."""
        jobs = self.segment_jobs
        with self.workspace.timed("segments"):
            run_jobs(jobs, workers=self.config.workers, what="segments", progress=self.progress)
        return [job.path for job in jobs]

    @cached_property
    def segments(self) -> Segments:
        """All segments."""
        counts = [count for _, count in self.shards]
        return read_segments(self.segment_paths, counts, hold_out=self.config.segment.hold_out)

    @cached_property
    def encoder_path(self) -> Path:
        """The learned encoder, made only where it is asked for."""
        settings = self.config.embed
        key = {"of": [path.name for path in self.segment_paths], **plain(settings)}
        if settings.encoder != "lsa":
            return self.workspace.path("encoder", key, ".safetensors")
        eligible = int(self.segments.eligible.sum())
        return self.workspace.once(
            "encoder",
            key,
            ".safetensors",
            lambda to: learn_encoder(sampled(self._eligible_texts, eligible, settings.sample), settings, to),
        )

    def _eligible_texts(self) -> Iterator[str]:
        for (texts, _), segments in zip(self.shards, self.segment_paths, strict=True):
            yield from segment_texts(read_texts(texts), segments)

    @cached_property
    def vector_jobs(self) -> list[EmbedJob]:
        """What embeds each shard; the encoder has been learned by then."""
        settings = self.config.embed
        key = {name: value for name, value in plain(settings).items() if name != "rows"}
        key["encoder"] = [settings.encoder, self.encoder_path.name]
        return [
            EmbedJob(
                path=self.workspace.path("vectors", key | {"of": segments.name}, ".safetensors"),
                texts=texts,
                segments=segments,
                settings=settings,
                learned=self.encoder_path,
            )
            for (texts, _), segments in zip(self.shards, self.segment_paths, strict=True)
        ]

    @cached_property
    def vector_paths(self) -> list[Path]:
        """The vectors of each shard's eligible segments."""
        jobs = self.vector_jobs
        with self.workspace.timed("vectors"):
            run_jobs(jobs, workers=self.config.workers, what="vectors", progress=self.progress)
        return [job.path for job in jobs]

    @cached_property
    def vectors(self) -> Float[np.ndarray, "segments dimension"]:
        """Vectors of all segments in float32; zero for those that are not eligible."""
        return read_vectors(self.vector_paths, self.segments)

    @cached_property
    def pool(self) -> Bool[np.ndarray, " segments"]:
        """Segments that may be neighbors and anchors: each text once, none from a test set or held out."""
        segments = self.segments
        seen = segments.eligible & segments.first_of_hash & (np.abs(self.vectors).max(axis=1) > 0)
        return seen & ~segments.blocked & ~segments.held_out

    @cached_property
    def queries(self) -> Int[np.ndarray, " queries"]:
        """Segments that neighbors are searched for: the pool, then what is held out."""
        segments = self.segments
        held = np.flatnonzero(segments.held_out & segments.eligible & segments.first_of_hash)
        return np.concatenate([np.flatnonzero(self.pool), held])

    @cached_property
    def neighbors_path(self) -> Path:
        """The candidates of every query, as segments, and the recall of a sample of them."""
        key = plain(self.config.neighbors) | {
            "vectors": [path.name for path in self.vector_paths],
            "hold_out": self.config.segment.hold_out,
        }
        return self.workspace.once("neighbors", key, ".safetensors", self._write_neighbors)

    def _write_neighbors(self, path: Path) -> None:
        from safetensors.numpy import save_file

        settings, queries, pool = self.config.neighbors, self.queries, np.flatnonzero(self.pool)
        if not len(pool):
            nothing = np.zeros((len(queries), 0))
            save_file({"ids": nothing.astype(np.int64), "similarity": nothing, "recall": np.zeros(0)}, path)
            return
        vectors = self.vectors[pool]
        asking = vectors if len(queries) == len(pool) else self.vectors[queries]
        found = search(asking, vectors, settings, progress=self.progress)
        shares = np.ones(min(settings.recall_sample, len(queries)))
        if choose_index(settings.index, len(pool)) != "exact":
            rows = np.sort(np.random.default_rng(0).permutation(len(queries))[: settings.recall_sample])
            shares = recall(found, rows, vectors, asking, min(self.config.filter.k, len(pool)))
        ids = np.where(found.ids >= 0, pool[found.ids], -1)
        save_file({"ids": ids, "similarity": found.similarity.astype(np.float16), "recall": shares}, path)

    @cached_property
    def filtered_path(self) -> Path:
        """The neighbors that passed the rules."""
        key = {"of": self.neighbors_path.name, **plain(self.config.filter)}
        return self.workspace.once("filtered", key, ".safetensors", lambda to: save_filtered(self._filter(), to))

    def _filter(self) -> Filtered:
        return filter_neighbors(
            load_neighbors(self.neighbors_path),
            self.queries,
            self.segments.document,
            self.config.filter,
            blocked=self.segments.blocked,
            capped=~self.segments.held_out[self.queries],
        )

    @cached_property
    def filtered(self) -> Filtered:
        """Neighbors that passed the rules, and why the others did not."""
        return load_filtered(self.filtered_path)


def read_vectors(paths: list[Path], segments: Segments) -> Float[np.ndarray, "segments dimension"]:
    """Vectors of all segments from those of the eligible ones, in float32; zero for the others."""
    from safetensors.numpy import load_file

    parts = [part for part in (load_file(path)["vectors"] for path in paths) if len(part)]
    rows = np.concatenate(parts) if parts else np.zeros((0, 1), dtype=np.float16)
    vectors = np.zeros((len(segments), rows.shape[1]), dtype=np.float32)
    vectors[segments.eligible] = rows
    return vectors
