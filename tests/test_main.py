"""``python -m seqtant`` is the command: launchers of several processes start modules, not commands."""

from __future__ import annotations

import subprocess
import sys

import seqtant


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "seqtant", "--version"], capture_output=True, text=True, check=True)
    assert seqtant.__version__ in done.stdout


def test_its_exit_code_is_that_of_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "seqtant", "chekup"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "checkup" in done.stderr
