"""The recipe for Slurm starts the command that it was given on every GPU of every node, whatever its words hold."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
STUBS = {
    "scontrol": 'printf "node-a\\nnode-b\\n"',
    "srun": 'exec "$@"',
    "accelerate": 'printf "%s\\n" "$@"',
}


def test_the_command_reaches_every_node_with_its_words_unbroken(tmp_path: Path) -> None:
    for name, body in STUBS.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    slurm = {"SLURM_NNODES": "2", "SLURM_NODEID": "1", "SLURM_GPUS_ON_NODE": "4", "SLURM_JOB_NODELIST": "node-[a-b]"}
    done = subprocess.run(
        ["bash", str(ROOT / "recipes" / "cluster" / "launch.slurm"), "steering", "train", "--out", "a folder"],
        env=os.environ | slurm | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    words = done.stdout.splitlines()
    given = dict(itertools.pairwise(words))
    assert given["--num_processes"] == "8"
    assert given["--num_machines"] == "2"
    assert given["--machine_rank"] == "1"
    assert given["--main_process_ip"] == "node-a"
    assert words[words.index("-m") :] == ["-m", "seqtant", "steering", "train", "--out", "a folder"]
