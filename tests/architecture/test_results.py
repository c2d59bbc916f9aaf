"""The page beside the kept records says what the records say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "results" / "architecture"


def test_page_is_written_from_the_records():
    spec = importlib.util.spec_from_file_location("write_readme", FOLDER / "write_readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert list(FOLDER.glob("*.json"))
    assert module.page() == (FOLDER / "README.md").read_text(encoding="utf-8")
