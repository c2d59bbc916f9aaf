"""The folder of a build's artifacts, and the shard jobs that make most of them: segmentation and embedding.

Jobs run in local processes, as a datatrove step (local, Slurm and Ray executors), or on Ray Data. A job whose artifact
exists is skipped, and an artifact is written to a temporary file and renamed, so any number of machines need nothing
but a shared folder. A cluster passes its own executor to the stages that work shard by shard::

    def execute(stage, jobs):
        LocalPipelineExecutor([job_step(jobs)], tasks=64, workers=8).run()

    embed_corpus(config.corpus, config.segment, config.embed, Workspace(folder), execute)
    build_folder(config, folder)
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from seqtant.errors import InputError
from seqtant.optional import require
from seqtant.pretraining.corpus.segments import (
    eligible_texts,
    open_tokenizer,
    read_texts,
    segment_documents,
    word_ngrams,
    write_segments,
)
from seqtant.pretraining.retrieval.encoders import embed, open_encoder
from seqtant.pretraining.sections import EmbedSettings, SegmentSettings
from seqtant.progress import SILENT, Progress, track
from seqtant.runs.files import make_folder, whole_file

MANIFEST = "manifest.json"


def write_once(path: Path, make: Callable[[Path], object]) -> None:
    """Writes a file if it does not exist yet: in a temporary folder, then moved."""
    if not path.is_file():
        with whole_file(path) as partial:
            make(partial)


class Workspace:
    """A folder of artifacts, named by the hash of their stage, its settings and the names of what they are made from.

    Args:
        folder: Made if it does not exist; temporary folders of killed runs are removed.

    Example:
        >>> import tempfile
        >>> workspace = Workspace(Path(tempfile.mkdtemp()))
        >>> path = workspace.once("double", {"of": 21}, ".txt", lambda path: path.write_text("42"))
        >>> path.read_text(), path == workspace.path("double", {"of": 21}, ".txt")
        ('42', True)
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self.folder = folder
        self.seconds: dict[str, float] = defaultdict(float)
        # os.walk and not rglob, which raises where another process moves its temporary folder away meanwhile.
        for left in (Path(place, name) for place, names, _ in os.walk(folder) for name in names):
            number = re.search(r"^\..*\.(\d+)\.partial$", left.name)
            try:
                if number is not None:
                    os.kill(int(number[1]), 0)  # signal 0 is not sent: it only checks that its writer is alive
            except ProcessLookupError:
                shutil.rmtree(left, ignore_errors=True)
            except PermissionError:
                pass  # the process of another user

    def path(self, stage: str, inputs: dict[str, Any], suffix: str) -> Path:
        """Path of an artifact, whether it exists or not."""
        # Sorted keys without blanks: equal settings give equal text, hence the same name.
        text = json.dumps({"stage": stage, **inputs}, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return self.folder / "stages" / stage / (hashlib.sha256(text.encode()).hexdigest()[:16] + suffix)

    def once(self, stage: str, inputs: dict[str, Any], suffix: str, make: Callable[[Path], object]) -> Path:
        """Makes an artifact if it does not exist yet.

        ``inputs`` is all that it depends on, as plain JSON data; ``make`` writes it to the path that it is given.
        """
        path = self.path(stage, inputs, suffix)
        with self.timed(stage):
            write_once(path, make)
        return path

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the wall time of the block to the seconds of a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - started


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads the manifest of a build."""
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"'{folder}' holds no {MANIFEST}: give a folder that 'seqtant pretraining build' wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is not JSON: build again into an empty folder") from error
    if not isinstance(content, dict) or not {"inputs", "examples", "segments"} <= content.keys():
        raise InputError(f"'{path}' is not a build's manifest: build again into an empty folder")
    return content


@dataclass(frozen=True)
class SegmentJob:
    """Splits and tokenizes the documents of one shard, the file ``texts``, into the file ``path``."""

    path: Path
    texts: Path
    settings: SegmentSettings
    tokenizer: Path
    test_texts: tuple[str, ...]
    """Test sets: segments that share a word n-gram with them are blocked."""

    def make(self, path: Path) -> None:
        """Writes the segments."""
        tokenizer = open_tokenizer(self.settings.tokenizer, self.tokenizer)
        ngrams = (word_ngrams(text, self.settings.blocked_words) for text in self.test_texts)
        blocked = frozenset[int]().union(*ngrams)
        write_segments(segment_documents(read_texts(self.texts), tokenizer, self.settings, blocked), path)


@dataclass(frozen=True)
class EmbedJob:
    """Embeds the eligible segments of one shard with the fitted ``encoder`` into the file ``path``."""

    path: Path
    texts: Path
    segments: Path
    settings: EmbedSettings
    encoder: Path

    def make(self, path: Path) -> None:
        """Writes the vectors, one row per eligible segment, in float16."""
        from safetensors.numpy import save_file

        texts = list(eligible_texts(read_texts(self.texts), self.segments))
        save_file({"vectors": embed(texts, open_encoder(self.settings, self.encoder), rows=self.settings.rows)}, path)


Job = SegmentJob | EmbedJob
"""The work on one shard; jobs of one stage are independent of each other."""
RunJobs = Callable[[str, Sequence[Job]], object]
"""Runs the jobs of a stage, given its name: on return every job's artifact must exist."""


def run_job(job: Job) -> None:
    """Writes the artifact of a job if it does not exist yet."""
    write_once(job.path, job.make)


def run_jobs(jobs: Sequence[Job], *, workers: int, name: str, progress: Progress = SILENT) -> None:
    """Runs the jobs whose artifact does not exist yet."""
    pending = [job for job in jobs if not job.path.is_file()]
    if workers == 1 or len(pending) < 2:
        for job in track(pending, progress, name):
            run_job(job)
        return
    # Spawned, not forked: a fork copies the locks of threads that libraries have already started.
    workers, spawn = min(workers, len(pending)), get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_exit_with_parent) as pool:
        for _ in track(pool.map(run_job, pending), progress, name, len(pending)):
            pass


def _exit_with_parent() -> None:
    """Ends a worker whose parent was killed: it would wait for work for ever."""
    parent = parent_process()
    assert parent is not None, "a worker has a parent"
    Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def text_shards(documents: Iterable[str], size: int) -> Iterator[tuple[str, list[str]]]:
    """Groups documents into shards, each with the SHA-256 of its texts."""
    texts = iter(documents)
    while shard := list(islice(texts, size)):
        digest = hashlib.sha256()
        for text in shard:
            # The length in front keeps ["ab", "c"] and ["a", "bc"] apart.
            digest.update(str(len(text)).encode() + b"\0" + text.encode(errors="surrogatepass"))
        yield digest.hexdigest(), shard


def sample_evenly(texts: Iterable[str], count: int, most: int) -> list[str]:
    """Takes at most ``most`` of ``count`` texts, spread evenly."""
    if count <= most:
        return list(texts)
    # i * count // most is strictly rising for count > most, so exactly ``most`` texts are taken.
    wanted = set((np.arange(most) * count // most).tolist())
    return [text for number, text in enumerate(texts) if number in wanted]


def job_step(jobs: Sequence[Job]) -> Any:
    """Makes a datatrove ``PipelineStep`` in which rank r of W runs jobs r, r + W, r + 2W ...

    Raises:
        MissingExtraError: datatrove is not installed.
    """
    # The class is made here because its base class is optional.
    base: Any = require("datatrove.pipeline.base", extra="scale").PipelineStep

    class JobStep(base):
        """Makes the artifacts of a stage."""

        name = "Seqtant jobs"
        type = "Pretraining examples"

        def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
            """Runs this rank's jobs; documents that are passed in are passed on."""
            if data:
                yield from data
            for job in self.jobs[rank::world_size]:
                with self.track_time():
                    run_job(job)
                self.stat_update("jobs")

    step = JobStep()
    step.jobs = list(jobs)
    return step


def run_on_ray(jobs: Sequence[Job], *, concurrency: int, gpus: float = 0.0) -> list[str]:
    """Runs the jobs of one stage on Ray Data and returns the paths of their artifacts.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    data: Any = require("ray.data", extra="scale")
    rows = data.from_items([{"job": number} for number in range(len(jobs))], override_num_blocks=len(jobs))
    kept = list(jobs)

    def make(row: dict[str, Any]) -> dict[str, Any]:
        job = kept[int(row["job"])]
        run_job(job)
        return {"path": str(job.path)}

    return [row["path"] for row in rows.map(make, concurrency=concurrency, num_gpus=gpus).take_all()]
