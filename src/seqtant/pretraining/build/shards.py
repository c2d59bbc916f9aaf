"""What is done shard by shard, in as many processes as asked for: cutting and embedding."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Protocol

import numpy as np

from seqtant.pretraining.build.workspace import write_once
from seqtant.pretraining.corpus.segments import blocked_runs, cut, read_texts, segment_texts, write_segments
from seqtant.pretraining.corpus.tokenizer import open_tokenizer
from seqtant.pretraining.retrieval.encoders import embed, open_encoder
from seqtant.pretraining.sections import EmbedSettings, SegmentSettings
from seqtant.progress import SILENT, Progress, track


class Job(Protocol):
    """The work on one shard: an artifact and how it is made."""

    @property
    def path(self) -> Path:
        """Where the artifact goes."""
        ...

    def make(self, path: Path) -> None:
        """Writes the artifact."""
        ...


@dataclass(frozen=True)
class SegmentJob:
    """Cuts the documents of one shard."""

    path: Path
    """Where the segments go."""
    texts: Path
    """The shard's documents."""
    settings: SegmentSettings
    """Splitter, tokenizer, lengths."""
    learned: Path
    """The learned tokenizer."""
    test_texts: tuple[str, ...]
    """Test sets, no part of which may come near an anchor."""

    def make(self, path: Path) -> None:
        """Writes the segments."""
        tokenizer = open_tokenizer(self.settings.tokenizer, self.learned)
        runs = blocked_runs(self.test_texts, self.settings.blocked_words)
        write_segments(cut(read_texts(self.texts), tokenizer, self.settings, runs), path)


@dataclass(frozen=True)
class EmbedJob:
    """Embeds the eligible segments of one shard."""

    path: Path
    """Where the vectors go."""
    texts: Path
    """The shard's documents."""
    segments: Path
    """The shard's segments."""
    settings: EmbedSettings
    """Which encoder."""
    learned: Path
    """The learned encoder."""

    def make(self, path: Path) -> None:
        """Writes the vectors, one row per eligible segment, as float16."""
        from safetensors.numpy import save_file

        texts = list(segment_texts(read_texts(self.texts), self.segments))
        save_file({"vectors": embed(texts, open_encoder(self.settings, self.learned), rows=self.settings.rows)}, path)


def run_jobs(jobs: Sequence[Job], *, workers: int, what: str, progress: Progress = SILENT) -> None:
    """Makes every artifact that is not there yet.

    Args:
        jobs: Independent of each other.
        workers: Processes; 1 works in this one.
        what: What the bar says.
        progress: Told how many are done.
    """
    open_jobs = [job for job in jobs if not job.path.is_file()]
    if workers == 1 or len(open_jobs) < 2:
        for job in track(open_jobs, progress, what):
            _make(job)
        return
    # Spawned, not forked: a fork copies the threads' locks of libraries that are already at work.
    workers, spawn = min(workers, len(open_jobs)), get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_end_with_parent) as pool:
        for _ in track(pool.map(_make, open_jobs), progress, what, len(open_jobs)):
            pass


def _end_with_parent() -> None:
    """Ends a worker whose parent was killed: it would wait for work for ever."""
    parent = parent_process()
    assert parent is not None, "a worker has a parent"

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _make(job: Job) -> None:
    write_once(job.path, job.make)


def text_shards(documents: Iterable[str], size: int) -> Iterator[tuple[str, list[str]]]:
    """Documents in shards, each with the SHA-256 of its texts.

    Example:
        >>> [texts for _, texts in text_shards(["a", "b", "c"], 2)]
        [['a', 'b'], ['c']]
    """
    shard: list[str] = []
    for text in documents:
        shard.append(text)
        if len(shard) == size:
            yield _digest(shard), shard
            shard = []
    if shard:
        yield _digest(shard), shard


def _digest(texts: Sequence[str]) -> str:
    whole = sha256()
    for text in texts:
        whole.update(str(len(text)).encode() + b"\0" + text.encode(errors="surrogatepass"))
    return whole.hexdigest()


def sampled(texts: Callable[[], Iterable[str]], count: int, most: int) -> list[str]:
    """At most so many texts, spread evenly over all.

    Example:
        >>> sampled(lambda: map(str, range(10)), 10, 3)
        ['0', '3', '6']
    """
    if count <= most:
        return list(texts())
    wanted = set((np.arange(most) * count // most).tolist())
    return [text for number, text in enumerate(texts()) if number in wanted]
