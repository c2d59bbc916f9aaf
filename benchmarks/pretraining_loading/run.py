"""Loads built examples as pre-tokenized data in TRL and in litgpt, and trains a few steps there.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/pretraining_loading/run.py --trl PYTHON --litgpt PYTHON

PYTHON is that of an environment with the peer (litgpt with litdata); it needs no Seqtant. Each must hand its model
the very tokens of the Parquet file, and must not mask the segments of an example from each other. Writes
``benchmarks/results/pretraining_loading.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from seqtant.pretraining.build.build import build_folder
from seqtant.pretraining.config import BuildConfig
from seqtant.runs.recorder import environment

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "results" / "pretraining_loading.json"


def ask(python: str, script: str, *arguments: str) -> dict[str, Any]:
    """The one JSON line that a peer prints last."""
    call = [python, str(FOLDER / script), *arguments]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trl", required=True)
    parser.add_argument("--litgpt", required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        built, _ = build_folder(BuildConfig.smoke(), Path(place))
        facts = [str(built.manifest[name]) for name in ("vocabulary", "window", "separator")]
        rows = {
            "TRL": ask(given.trl, "trl_peer.py", str(built.path("knn")), *facts),
            "litgpt": ask(given.litgpt, "litgpt_peer.py", str(built.path("knn")), *facts),
        }
    result = {"examples": "the small world that ships, arm knn", "rows": rows, "environment": environment()}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(rows, indent=1))
    assert all(row["same_tokens"] and row["segments_see_each_other"] for row in rows.values())


if __name__ == "__main__":
    main()
