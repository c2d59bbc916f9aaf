"""Fixtures shared by all tests: a private run store, real data where it exists, the slow flag."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import seqtant
from seqtant import instruments
from seqtant.packages import PACKAGES, Package

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

collect_ignore = ["packages"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow: run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def private_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test writes its runs to a folder of its own."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("SEQTANT_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real models, text and speech; only where the environment variable SEQTANT_DATA names their folder."""
    folder = os.environ.get("SEQTANT_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real data is not here: set SEQTANT_DATA to its folder")
    return Path(folder)


@pytest.fixture
def demo_package(monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """One package in place of all others, ``tests/packages/demo``, that answers in milliseconds."""
    monkeypatch.setattr(seqtant, "__path__", [*seqtant.__path__, str(Path(__file__).parent / "packages")])
    for name in list(PACKAGES):
        monkeypatch.delitem(PACKAGES, name)
    monkeypatch.setitem(PACKAGES, "demo", Package("demo", "Does a pendulum swing as its length says?", (3, 8)))
    instruments.configs.cache_clear()
    yield PACKAGES["demo"]
    instruments.configs.cache_clear()
    for name in [name for name in sys.modules if name.startswith("seqtant.demo")]:
        del sys.modules[name]
