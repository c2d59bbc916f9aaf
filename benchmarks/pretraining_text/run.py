"""Real text from files to audited examples in one command; then killed at random moments, resumed, and compared.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/pretraining_text/run.py CORPUS... [--kills 5] [--folders 2]

The command is `seqtant pretraining build CORPUS... --hold-out 10 --workers 2`. It is run once without disturbance; then
into fresh folders where SIGKILL ends it, several times, at moments drawn at random, until it is let finish. Every file
that it leaves there must have the same bytes. Writes ``results/pretraining/text-build.json`` (the audit that the
command prints) and ``benchmarks/results/pretraining_text.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from seqtant.findings import Result, from_json
from seqtant.runs.environment import environment

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "pretraining_text.json"
RECORD = ROOT / "results" / "pretraining" / "text-build.json"
OF_THE_RUN = {"result.json", "report.html"}
"""What says when and how long a run was; everything else must not depend on it."""


def command(corpus: list[str], folder: Path) -> list[str]:
    """The one command."""
    flags = ["--hold-out", "10", "--workers", "2", "--out", str(folder), "--json"]
    return [str(Path(sys.executable).with_name("seqtant")), "pretraining", "build", *corpus, *flags]


def digest(folder: Path) -> str:
    """SHA-256 of all files of a build and their names."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in OF_THE_RUN:
            whole.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return whole.hexdigest()


def kill_after(seconds: float, corpus: list[str], folder: Path) -> dict[str, Any]:
    """Starts the command and kills it; tells what was there by then."""
    process = subprocess.Popen(command(corpus, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    return {
        "after_seconds": seconds,
        "killed": process.wait() == -9,
        "files_there": sum(path.is_file() for path in (folder / "stages").rglob("*")),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", nargs="+")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--folders", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        started = time.perf_counter()
        printed = subprocess.run(command(given.corpus, whole), check=True, stdout=subprocess.PIPE, text=True).stdout
        wall = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        record = from_json(Result, printed)
        RECORD.write_text(printed, encoding="utf-8")
        moments = random.SystemRandom()
        runs = []
        for number in range(given.folders):
            folder = Path(place) / f"killed-{number}"
            kills = [kill_after(moments.uniform(0, wall), given.corpus, folder)]
            # What is left to do shrinks, so later moments are drawn from what the run has left.
            while len(kills) < given.kills and kills[-1]["killed"]:
                kills.append(kill_after(moments.uniform(0, wall / 2), given.corpus, folder))
            subprocess.run(command(given.corpus, folder), check=True, stdout=subprocess.DEVNULL)
            runs.append({"kills": kills, "byte_identical": digest(folder) == digest(whole)})
            print(json.dumps(runs[-1]), flush=True)
    stages = next(table for table in record.tables if table.name == "stages")
    result = {
        "corpus": [Path(name).name for name in given.corpus],
        "bytes": sum(Path(name).stat().st_size for name in given.corpus),
        "workers": 2,
        "command_wall_seconds": wall,
        "command_cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes_of_a_process": used.ru_maxrss * 1024,
        "stage_seconds": dict(stages.rows),
        "killed_runs": runs,
        "environment": environment(),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    assert all(run["byte_identical"] for run in runs), "a resumed build differs"


if __name__ == "__main__":
    main()
