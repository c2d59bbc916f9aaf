"""The shard stages beyond one machine: as a datatrove step (local, Slurm, Ray executors), or on Ray Data.

The work is the same as in one process: an artifact that is there is not made again, and each is written whole or not at
all, so machines need nothing but a shared folder. Finish one stage before the next is asked for its jobs::

    pipeline = Pipeline(config, Workspace(folder))
    LocalPipelineExecutor([job_step(pipeline.segment_jobs)], tasks=64, workers=8).run()
    LocalPipelineExecutor([job_step(pipeline.vector_jobs)], tasks=64, workers=8).run()
    build(config, folder)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from seqtant.optional import require
from seqtant.pretraining.build.shards import Job
from seqtant.pretraining.build.workspace import write_once


def job_step(jobs: Sequence[Job]) -> Any:
    """A datatrove ``PipelineStep`` that does every ``world_size``-th job of a stage.

    Args:
        jobs: Of one stage: ``Pipeline.segment_jobs`` or ``Pipeline.vector_jobs``.

    Raises:
        MissingExtraError: datatrove is not installed.
    """
    return _step_class()(list(jobs))


@cache
def _step_class() -> Any:
    # Made on demand: datatrove is optional, and its base class is needed to derive from.
    base: Any = require("datatrove.pipeline.base", extra="scale").PipelineStep

    class JobStep(base):
        """Makes the artifacts of a stage."""

        name = "Seqtant jobs"
        type = "Pretraining examples"

        def __init__(self, jobs: list[Job]) -> None:
            super().__init__()
            self.jobs = jobs

        def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
            """Does this rank's share; documents that come along pass through."""
            if data:
                yield from data
            for job in self.jobs[rank::world_size]:
                with self.track_time():
                    write_once(job.path, job.make)
                self.stat_update("jobs")

    return JobStep


def run_on_ray(jobs: Sequence[Job], *, concurrency: int, gpus: float = 0.0) -> list[str]:
    """Does the jobs of one stage on Ray Data; returns the paths that were made or were there.

    Args:
        jobs: Of one stage, usually ``Pipeline.vector_jobs``.
        concurrency: Jobs at a time.
        gpus: Graphics processors that each job is given.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    data: Any = require("ray.data", extra="scale")
    rows = data.from_items([{"job": number} for number in range(len(jobs))], override_num_blocks=len(jobs))
    kept = list(jobs)

    def make(row: dict[str, Any]) -> dict[str, Any]:
        job = kept[int(row["job"])]
        write_once(job.path, job.make)
        return {"path": str(job.path)}

    return [row["path"] for row in rows.map(make, concurrency=concurrency, num_gpus=gpus).take_all()]
