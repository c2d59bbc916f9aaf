"""The stages of a build, one function each, in a fixed order: documents to filtered neighbors.

    documents -> tokenizer -> segments -> encoder -> vectors     :func:`embed_corpus`, shard by shard
    -> neighbors -> filtered                                     :func:`find_neighbors`, on one machine

A stage writes artifacts into a folder. The name of an artifact is the hash of all that it depends on, so one that
exists is the right one: a build that was killed continues where it stopped, and gives the same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from seqtant.errors import InputError
from seqtant.pretraining.build.workspace import (
    MANIFEST,
    EmbedJob,
    RunJobs,
    SegmentJob,
    Workspace,
    read_manifest,
    run_jobs,
    sample_evenly,
    text_shards,
)
from seqtant.pretraining.corpus.readers import Corpus, open_corpus
from seqtant.pretraining.corpus.segments import (
    AnyTokenizer,
    Segments,
    eligible_texts,
    find_splitter,
    open_tokenizer,
    read_segments,
    read_texts,
    tokenizer_json,
    train_tokenizer,
    write_texts,
)
from seqtant.pretraining.retrieval.encoders import LatentSemanticEncoder, find_encoder
from seqtant.pretraining.retrieval.neighbors import (
    Filtered,
    Neighbors,
    choose_index,
    filter_neighbors,
    load_filtered,
    recall,
    save_filtered,
    search,
)
from seqtant.pretraining.sections import EmbedSettings, FilterSettings, NeighborSettings, SegmentSettings, Sources
from seqtant.progress import SILENT, Progress
from seqtant.settings import plain
from seqtant.sources import is_path

_TOKENIZER_SAMPLE = 2000
"""Documents on which a tokenizer is trained."""


@dataclass(frozen=True)
class EmbeddedCorpus:
    """What the stages up to the vectors made."""

    inputs: dict[str, str]
    """Fingerprints of the corpus and the test sets, by name."""
    documents: list[int]
    """Documents per shard."""
    tokenizer_path: Path
    """File of the tokenizer, if it was trained here or given in memory."""
    tokenizer: AnyTokenizer
    segment_paths: list[Path]
    """Segments of each shard."""
    segments: Segments
    vector_paths: list[Path]
    """Vectors of each shard's eligible segments."""
    vectors: Float[np.ndarray, "segments dimension"]
    """Vectors of all segments in float32; zero for those that are not eligible."""


def embed_corpus(
    sources: Sources, segment: SegmentSettings, embed: EmbedSettings, workspace: Workspace, run: RunJobs | None = None
) -> EmbeddedCorpus:
    """Runs the stages that work shard by shard, in order: documents, tokenizer, segments, encoder, vectors.

    ``run`` runs the jobs of the stages ``segments`` and ``vectors``; by default in this process.
    """
    run = run or (lambda stage, jobs: run_jobs(jobs, workers=1, name=stage))
    corpus, tests, inputs = open_inputs(sources, segment, embed, workspace)
    # Stage 1: the documents of each shard as Parquet, named by the hash of its texts.
    shards: list[tuple[Path, int]] = []
    for digest, texts in text_shards(corpus, segment.shard_documents):
        path = workspace.once("documents", {"sha256": digest}, ".parquet", partial(write_texts, texts))
        shards.append((path, len(texts)))
    if not shards:
        raise InputError("the corpus holds no document: give one that does")
    documents = [count for _, count in shards]
    tokenizer_path = make_tokenizer(shards, segment, workspace)
    tokenizer = open_tokenizer(segment.tokenizer, tokenizer_path)
    # Stage 3: segments. Test sets enter by their content and held-out documents not at all: neither must depend on a
    # path or a choice that leaves the segments as they are.
    test_texts = tuple(tests)
    key = {name: value for name, value in plain(segment).items() if name not in ("blocklist", "hold_out")}
    key |= {"tokenizer": tokenizer.fingerprint, "tests": sorted(inputs.items()) if test_texts else []}
    cutting = [
        SegmentJob(
            path=workspace.path("segments", key | {"of": path.name}, ".parquet"),
            texts=path,
            settings=segment,
            tokenizer=tokenizer_path,
            test_texts=test_texts,
        )
        for path, _ in shards
    ]
    with workspace.timed("segments"):
        run("segments", cutting)
    segment_paths = [job.path for job in cutting]
    segments = read_segments(segment_paths, documents, hold_out=segment.hold_out)
    encoder_path = make_encoder(cutting, int(segments.eligible.sum()), embed, workspace)
    # Stage 5: vectors; the number of texts that the encoder is given at a time changes none.
    key = {name: value for name, value in plain(embed).items() if name != "rows"}
    key["encoder"] = [embed.encoder, encoder_path.name]
    embedding = [
        EmbedJob(
            path=workspace.path("vectors", key | {"of": job.path.name}, ".safetensors"),
            texts=job.texts,
            segments=job.path,
            settings=embed,
            encoder=encoder_path,
        )
        for job in cutting
    ]
    with workspace.timed("vectors"):
        run("vectors", embedding)
    vector_paths = [job.path for job in embedding]
    vectors = read_vectors(vector_paths, segments)
    return EmbeddedCorpus(inputs, documents, tokenizer_path, tokenizer, segment_paths, segments, vector_paths, vectors)


def open_inputs(
    sources: Sources, segment: SegmentSettings, embed: EmbedSettings, workspace: Workspace
) -> tuple[Corpus, Corpus, dict[str, str]]:
    """Opens the corpus and the test sets, and checks every name in the settings before any work is done."""
    corpus, tests = open_corpus(sources, field=segment.field), open_corpus(segment.blocklist, field=segment.field)
    find_splitter(segment.splitter)
    if embed.encoder != "lsa" and not Path(embed.encoder).is_dir():
        find_encoder(embed.encoder)
    if not is_path(segment.tokenizer):
        tokenizer_json(segment.tokenizer)
    elif segment.tokenizer != "bpe":
        open_tokenizer(segment.tokenizer, Path())
    inputs = corpus.fingerprints | {f"blocklist {name}": print_ for name, print_ in tests.fingerprints.items()}
    path = workspace.folder / MANIFEST
    before = read_manifest(workspace.folder)["inputs"] if path.is_file() else inputs
    changed = sorted(set(before) ^ set(inputs)) or [name for name in before if before[name] != inputs[name]]
    if changed:
        raise InputError(f"'{path}' was written for another '{changed[0]}': give another --out, or delete that folder")
    return corpus, tests, inputs


def make_tokenizer(shards: list[tuple[Path, int]], settings: SegmentSettings, workspace: Workspace) -> Path:
    """Stage 2: trains the tokenizer on a sample of the documents for ``bpe``; writes one that is in memory."""
    if not is_path(settings.tokenizer):
        text = tokenizer_json(settings.tokenizer)
        own = {"sha256": hashlib.sha256(text.encode()).hexdigest()}
        return workspace.once("tokenizer", own, "/tokenizer.json", lambda to: to.write_text(text, encoding="utf-8"))
    key = {"of": [path.name for path, _ in shards], "vocabulary": settings.vocabulary}
    if settings.tokenizer != "bpe":
        return workspace.path("tokenizer", key, "/tokenizer.json")

    def train(path: Path) -> None:
        texts = chain.from_iterable(read_texts(shard) for shard, _ in shards)
        sample = sample_evenly(texts, sum(count for _, count in shards), _TOKENIZER_SAMPLE)
        train_tokenizer(sample, settings.vocabulary, path)

    return workspace.once("tokenizer", key, "/tokenizer.json", train)


def make_encoder(shards: list[SegmentJob], eligible: int, settings: EmbedSettings, workspace: Workspace) -> Path:
    """Stage 4: fits the encoder to a sample of the eligible segments, if the settings ask for ``lsa``."""
    key = {"of": [shard.path.name for shard in shards], **plain(settings)}
    if settings.encoder != "lsa":
        return workspace.path("encoder", key, ".safetensors")

    def fit(path: Path) -> None:
        from safetensors.numpy import save_file

        texts = chain.from_iterable(eligible_texts(read_texts(shard.texts), shard.path) for shard in shards)
        sample = sample_evenly(texts, eligible, settings.sample)
        fitted = LatentSemanticEncoder.fit(sample, dimension=settings.dimension, buckets=settings.buckets)
        save_file({"weights": fitted.weights, "basis": fitted.basis}, path)

    return workspace.once("encoder", key, ".safetensors", fit)


def read_vectors(paths: list[Path], segments: Segments) -> Float[np.ndarray, "segments dimension"]:
    """Reads the vectors of all segments in float32; those that are not eligible get zero."""
    from safetensors.numpy import load_file

    parts = [part for part in (load_file(path)["vectors"] for path in paths) if len(part)]
    rows = np.concatenate(parts) if parts else np.zeros((0, 1), dtype=np.float16)
    vectors = np.zeros((len(segments), rows.shape[1]), dtype=np.float32)
    vectors[segments.eligible] = rows
    return vectors


@dataclass(frozen=True)
class RelatedSegments:
    """Which segments may be anchors and neighbors, and the neighbors that passed the filters."""

    pool: Bool[np.ndarray, " segments"]
    """Segments that may be neighbors and anchors: each text once, none from a test set or held out."""
    queries: Int[np.ndarray, " queries"]
    """Segments whose neighbors are searched: the pool, then the held-out segments."""
    neighbors_path: Path
    """File of the candidates and of the recall."""
    filtered_path: Path
    """File of the filtered neighbors."""
    filtered: Filtered


def find_neighbors(
    corpus: EmbeddedCorpus,
    settings: NeighborSettings,
    filters: FilterSettings,
    hold_out: int,
    workspace: Workspace,
    progress: Progress = SILENT,
) -> RelatedSegments:
    """Runs the stages that need all vectors at once, in order: neighbors, filtered."""
    segments = corpus.segments
    distinct = segments.eligible & segments.first_of_hash
    # A zero vector is that of a text in which the encoder knows no word.
    pool = distinct & (np.abs(corpus.vectors).max(axis=1) > 0) & ~segments.blocked & ~segments.held_out
    queries = np.concatenate([np.flatnonzero(pool), np.flatnonzero(distinct & segments.held_out)])

    def write_neighbors(path: Path) -> None:
        """Stage 6: the candidates of every query, as segments, and the recall of a sample of the queries."""
        from safetensors.numpy import save_file

        rows = np.flatnonzero(pool)
        if not len(rows):
            nothing = np.zeros((len(queries), 0))
            save_file({"ids": nothing.astype(np.int64), "similarity": nothing, "recall": np.zeros(0)}, path)
            return
        searched = corpus.vectors[rows]
        # Without held-out segments the queries are the pool: no second copy of the vectors.
        asking = searched if len(queries) == len(rows) else corpus.vectors[queries]
        found = search(asking, searched, settings, progress=progress)
        shares = np.ones(min(settings.recall_sample, len(queries)))
        if choose_index(settings.index, len(rows)) != "exact":
            sample = np.sort(np.random.default_rng(0).permutation(len(queries))[: settings.recall_sample])
            shares = recall(found, sample, searched, asking, min(filters.k, len(rows)))
        # The search numbers the pool from 0; ``rows`` gives the segments.
        ids = np.where(found.ids >= 0, rows[found.ids], -1)
        save_file({"ids": ids, "similarity": found.similarity.astype(np.float16), "recall": shares}, path)

    def write_filtered(path: Path) -> None:
        """Stage 7: the candidates that the filters leave."""
        candidates = load_neighbors(neighbors_path)[0]
        # Held-out segments ask for neighbors too, but must not use up the capacity of the training text.
        capped = ~segments.held_out[queries]
        kept = filter_neighbors(
            candidates, queries, segments.document, filters, blocked=segments.blocked, capped=capped
        )
        save_filtered(kept, path)

    key = plain(settings) | {"vectors": [path.name for path in corpus.vector_paths], "hold_out": hold_out}
    neighbors_path = workspace.once("neighbors", key, ".safetensors", write_neighbors)
    key = {"of": neighbors_path.name, **plain(filters)}
    filtered_path = workspace.once("filtered", key, ".safetensors", write_filtered)
    return RelatedSegments(pool, queries, neighbors_path, filtered_path, load_filtered(filtered_path))


def load_neighbors(path: Path) -> tuple[Neighbors, Float[np.ndarray, " sample"]]:
    """Reads the candidates, and the recall of a sample of the queries."""
    from safetensors.numpy import load_file

    stored = load_file(path)
    return Neighbors(stored["ids"], stored["similarity"].astype(np.float32)), stored["recall"]
