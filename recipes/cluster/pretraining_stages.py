"""The shard stages of ``seqtant pretraining build`` on many machines: cutting and embedding, which cost the most.

    python pretraining_stages.py CORPUS... --out /shared/build --executor local --workers 8
    python pretraining_stages.py CORPUS... --out /shared/build --executor slurm --partition cpu --time 04:00:00
    python pretraining_stages.py CORPUS... --out /shared/build --executor ray

Afterwards ``seqtant pretraining build CORPUS... --out /shared/build`` finds all shards there, joins them, and makes the
same bytes as one machine alone. Needs ``pip install 'seqtant[scale]'`` and a folder that all machines see. On Slurm a
stage is submitted and returns: run the same command again when the job has ended, and it submits the next stage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor, RayPipelineExecutor, SlurmPipelineExecutor

from seqtant.pretraining.build.pipeline import embed_corpus
from seqtant.pretraining.build.workspace import Job, Workspace, job_step, run_on_ray
from seqtant.pretraining.config import BuildConfig


def missing(jobs: Sequence[Job]) -> list[Job]:
    """Jobs whose artifact is not there yet."""
    return [job for job in jobs if not job.path.exists()]


def execute(jobs: Sequence[Job], logs: Path, given: argparse.Namespace) -> None:
    """Does the jobs of one stage, or submits them."""
    if given.executor == "ray-data":
        run_on_ray(jobs, concurrency=given.workers)
        return
    shared: dict[str, Any] = {"tasks": len(jobs), "workers": given.workers, "logging_dir": str(logs)}
    if given.executor == "local":
        LocalPipelineExecutor([job_step(jobs)], **shared).run()
    elif given.executor == "slurm":
        SlurmPipelineExecutor(
            [job_step(jobs)], time=given.time, partition=given.partition, job_name=logs.name, **shared
        ).run()
    else:
        RayPipelineExecutor([job_step(jobs)], **shared).run()


def main() -> None:
    """Runs the stages that are not done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--executor", choices=("local", "slurm", "ray", "ray-data"), default="local")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--partition", default="cpu")
    parser.add_argument("--time", default="04:00:00")
    given = parser.parse_args()
    config = BuildConfig(corpus=tuple(given.corpus))

    def run(stage: str, jobs: Sequence[Job]) -> None:
        open_jobs = missing(jobs)
        sys.stderr.write(f"{stage}: {len(open_jobs)} to do\n")
        if open_jobs:
            # A stage that is taken up again has other jobs: datatrove's marks of an earlier one must not count.
            execute(open_jobs, Path(given.out) / "logs" / f"{stage}-{len(open_jobs)}", given)
            if given.executor == "slurm":
                sys.exit()

    embed_corpus(config.corpus, config.segment, config.embed, Workspace(Path(given.out)), run)


if __name__ == "__main__":
    main()
