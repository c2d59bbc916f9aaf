"""Every fenced block of README and docs that can run is run, one page after the other in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from blocks import Block, blocks

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUNNABLE = {"console", "python"}
# `console no-run` marks what a test must not run; the reason stands beside it in the page.
NOT_RUN = "no-run"


def runnable(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language in RUNNABLE and NOT_RUN not in block.options]


def run(block: Block, folder: Path) -> list[str]:
    """Runs a block and returns what its commands printed."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "100"}
    script = block.body if block.language == "python" else "\n".join(block.commands)
    call = [sys.executable, "-c", script] if block.language == "python" else ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{block.page}:{block.line}\n{done.stdout}\n{done.stderr}"
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.is_file() and runnable(page)], ids=lambda page: str(page.relative_to(ROOT))
)
def test_every_block_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    for block in runnable(page):
        run(block, tmp_path)
