"""Every fenced block of README and docs that can run is run, page by page, and prints what the page shows."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("docs_blocks", ROOT / "docs" / "blocks.py")
assert _spec is not None
assert _spec.loader is not None
docs = importlib.util.module_from_spec(_spec)
sys.modules["docs_blocks"] = docs
_spec.loader.exec_module(docs)

PAGES = [page for page in docs.pages() if page.is_file() and docs.blocks(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_runs_and_prints_what_the_page_shows(page: Path, tmp_path: Path) -> None:
    for block in docs.blocks(page):
        if block.language == "python":
            done = docs.run([sys.executable, "-c", block.body], tmp_path)
            assert done.returncode == 0, f"{page}:{block.line}\n{done.stderr}"
            continue
        for step in block.steps:
            printed = docs.output_of(step, tmp_path)
            if step.shown.strip():
                assert docs.shape_of(printed) == docs.shape_of(step.shown), f"{page}:{block.line}: {step.command}"
