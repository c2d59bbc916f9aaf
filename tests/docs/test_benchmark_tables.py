"""The tables of comparisons say what the stored records say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import tables as module

    yield module
    for name in ("tables", "comparisons"):
        sys.modules.pop(name, None)


def test_pages_equal_the_stored_records(tables) -> None:
    for path, shown in tables.pages().items():
        text = path.read_text(encoding="utf-8")
        assert tables.filled(text, shown) == text, (
            f"run python benchmarks/bench.py --tables: {path.name} is out of date"
        )


def test_a_page_without_the_mark_is_refused(tables) -> None:
    with pytest.raises(ValueError, match="no mark"):
        tables.filled("text", {"limits": "| |"})


def test_the_plan_names_scripts_and_peers_that_are_there() -> None:
    plan = yaml.safe_load((BENCHMARKS / "plan.yaml").read_text(encoding="utf-8"))
    for each in plan["comparisons"]:
        assert (BENCHMARKS / each["script"]).is_file()
        assert set(each.get("peers", {}).values()) <= set(plan["peers"])
