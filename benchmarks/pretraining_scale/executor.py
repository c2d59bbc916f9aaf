"""Cuts and embeds a corpus through datatrove's local executor with two workers, then builds; bytes must be the same.

    PYTHON_WITH_DATATROVE benchmarks/pretraining_scale/executor.py CORPUS... [--workers 2]

Runs in an environment that has datatrove beside Seqtant. Writes ``benchmarks/results/pretraining_executor.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor

from seqtant.pretraining.build.build import build_folder
from seqtant.pretraining.build.pipeline import embed_corpus
from seqtant.pretraining.build.workspace import Job, Workspace, job_step
from seqtant.pretraining.config import BuildConfig
from seqtant.pretraining.sections import SegmentSettings

RESULTS = Path(__file__).parents[1] / "results" / "pretraining_executor.json"


def digest(folder: Path) -> str:
    """SHA-256 of all files of a build and their names."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            whole.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return whole.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", nargs="+")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    config = BuildConfig(corpus=tuple(given.corpus), segment=SegmentSettings(shard_documents=20))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        seconds = {}

        def run(stage: str, jobs: Sequence[Job]) -> None:
            started = time.perf_counter()
            LocalPipelineExecutor(
                [job_step(jobs)], tasks=len(jobs), workers=given.workers, logging_dir=str(place / "logs" / stage)
            ).run()
            seconds[f"{stage.removesuffix('s')}_jobs"] = time.perf_counter() - started

        corpus = embed_corpus(config.corpus, config.segment, config.embed, Workspace(place / "executor"), run)
        build_folder(config, place / "executor")
        build_folder(config, place / "alone")
        same = digest(place / "executor") == digest(place / "alone")
        result = {
            "documents": sum(corpus.documents),
            "segments": len(corpus.segments),
            "shards": len(corpus.documents),
            "workers": given.workers,
            "wall_seconds": seconds,
            "byte_identical": same,
            "datatrove": version("datatrove"),
        }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
    assert same, "the executor's build differs"


if __name__ == "__main__":
    main()
