"""The site is built without a warning, and every public name is on it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed: pip install -e '.[docs]'"
)


@pytest.mark.parametrize("script", ["api_pages"], indirect=True)
def test_the_site_is_built_without_a_warning_and_holds_every_public_name(script: ModuleType, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    shown = {page.parent.name: page.read_text(encoding="utf-8") for page in (tmp_path / "api").glob("*/index.html")}
    for package in (*script.PACKAGES, *script.SHARED):
        names = script.public_names(package)
        assert [name for name in names if f'id="{name}"' not in shown[package]] == []
