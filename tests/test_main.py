"""``python -m seqtant`` is the command: launchers of several processes start modules, not commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import seqtant


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "seqtant", "--version"], capture_output=True, text=True, check=True)
    assert seqtant.__version__ in done.stdout


def test_its_exit_code_is_that_of_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "seqtant", "chekup"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "checkup" in done.stderr


def test_of_several_processes_only_the_first_prints_and_stores(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "seqtant", "architecture", "match"]
    done = {
        rank: subprocess.run(
            command,
            env=os.environ | {"RANK": str(rank), "SEQTANT_HOME": str(tmp_path / str(rank))},
            capture_output=True,
            text=True,
            check=True,
        )
        for rank in (0, 1)
    }
    assert "Width that" in done[0].stdout
    assert (tmp_path / "0").is_dir()
    assert done[1].stdout == ""
    assert not (tmp_path / "1").exists()
