"""What the scripts beside kept records write is what the pages hold: no number there is typed or left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRITTEN_TO = ("results", "docs", "recipes", "benchmarks/results")
SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for name in ("readme", "pages")
    for path in (ROOT / "results").glob(f"*/write_{name}.py")
)


def contents(root: Path) -> dict[str, bytes]:
    found = (
        path for name in WRITTEN_TO for path in (root / name).rglob("*") if path.suffix in {".md", ".svg", ".html"}
    )
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_committed_pages_are_what_the_script_writes(script: str, tmp_path: Path) -> None:
    for name in WRITTEN_TO:
        shutil.copytree(ROOT / name, tmp_path / name)
    readme = tmp_path / Path(script).parent / "README.md"
    readme.unlink(missing_ok=True)
    subprocess.run([sys.executable, script], cwd=tmp_path, check=True)
    written, committed = contents(tmp_path), contents(ROOT)
    assert written.keys() == committed.keys()
    stale = [name for name, content in committed.items() if written[name] != content]
    assert not stale, f"run python {script}"
