"""What the first word costs: CPU seconds until the command line answers, each command in fresh interpreters.

    .venv/bin/python benchmarks/startup.py

The commands take turns, so that a busy machine slows all of them alike. Results: ``benchmarks/results/startup.json``.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from seqtant.runs.recorder import environment

REPEATS = 9
RESULTS = Path(__file__).parent / "results" / "startup.json"
CALLS = {
    "python": [sys.executable, "-c", "pass"],
    "import seqtant": [sys.executable, "-c", "import seqtant"],
    **{
        f"seqtant {arguments}": [sys.executable, "-c", "from seqtant.cli import main; main()", *arguments.split()]
        for arguments in ("--help", "--version", "archtecture", "runs list", "cite", "architecture --help")
    },
}


def spent(call: list[str]) -> tuple[float, float]:
    """CPU and wall seconds of one process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(call, capture_output=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    """Measures all commands in turns and writes medians and ranges."""
    times: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as home:
        os.environ["SEQTANT_HOME"] = home
        for _ in range(REPEATS):
            for name, call in CALLS.items():
                times[name].append(spent(call))
    rows = {
        name: {
            "cpu_median": median(cpu for cpu, _ in each),
            "cpu_range": [min(cpu for cpu, _ in each), max(cpu for cpu, _ in each)],
            "wall_median": median(wall for _, wall in each),
        }
        for name, each in times.items()
    }
    record = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "repeats": REPEATS,
        "load_average": os.getloadavg(),
        "environment": environment(),
        "seconds": rows,
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for name, row in rows.items():
        print(f"{name:28} {row['cpu_median']:.3f} CPU s  {row['wall_median']:.3f} s")


if __name__ == "__main__":
    main()
