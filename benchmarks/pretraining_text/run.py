"""Real text from files to audited examples in one command; then killed at random moments, resumed, and compared.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/pretraining_text/run.py CORPUS... [--kills 5]

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
from seqtant.runs.recorder import environment

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "pretraining_text.json"
RECORD = ROOT / "results" / "pretraining" / "text-build.json"
OF_THE_RUN = {"result.json", "report.html"}
"""What says when and how long a run was; everything else must not depend on it."""


def command(corpus: list[Path], folder: Path) -> list[str]:
    """The one command, given where the corpus lies."""
    flags = ["--hold-out", "10", "--workers", "2", "--out", folder.name, "--json"]
    names = [path.name for path in corpus]
    return [str(Path(sys.executable).with_name("seqtant")), "pretraining", "build", *names, *flags]


def digest(folder: Path) -> str:
    """SHA-256 of all files of a build and their names."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in OF_THE_RUN:
            whole.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return whole.hexdigest()


def kill_at(files: int, seconds: float, corpus: list[Path], folder: Path) -> dict[str, Any]:
    """Starts the command and kills it some seconds after so many files of its stages are there."""
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = time.perf_counter()
    process = subprocess.Popen(command(corpus, folder), cwd=folder.parent, **silent)
    while process.poll() is None and made(folder) < files:
        time.sleep(0.1)
    time.sleep(seconds)
    process.kill()
    killed = process.wait() == -9
    return {"killed": killed, "after_seconds": time.perf_counter() - started, "files_there": made(folder)}


def made(folder: Path) -> int:
    """Finished files of the stages."""
    return sum(path.is_file() and not path.name.startswith(".") for path in (folder / "stages").rglob("*"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", nargs="+", type=Path)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--folders", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        for path in given.corpus:
            (Path(place) / path.name).symlink_to(path.resolve())
        whole = Path(place) / "whole"
        started = time.perf_counter()
        call = command(given.corpus, whole)
        printed = subprocess.run(call, cwd=place, check=True, stdout=subprocess.PIPE, text=True).stdout
        wall = time.perf_counter() - started
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        record = from_json(Result, printed)
        RECORD.write_text(printed, encoding="utf-8")
        moments = random.SystemRandom()
        runs = []
        for number in range(given.folders):
            folder = Path(place) / f"killed-{number}"
            files = sorted(moments.randrange(made(whole)) for _ in range(given.kills))
            kills = [kill_at(each, moments.uniform(0, 5), given.corpus, folder) for each in files]
            subprocess.run(command(given.corpus, folder), cwd=place, check=True, stdout=subprocess.DEVNULL)
            runs.append({"kills": kills, "byte_identical": digest(folder) == digest(whole)})
            print(json.dumps(runs[-1]), flush=True)
    stages = next(table for table in record.tables if table.name == "stages")
    result = {
        "corpus": [path.name for path in given.corpus],
        "bytes": sum(path.stat().st_size for path in given.corpus),
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
