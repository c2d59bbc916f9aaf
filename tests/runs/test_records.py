"""Runs by id, prefix or file; a file that is none is told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqtant.errors import InputError
from seqtant.findings import Result, to_json
from seqtant.runs.records import export, read_results
from seqtant.runs.store import Store


def result(id: str) -> Result:
    values = {"bound": float("inf"), "x": 0.1}
    return Result(instrument="demo.half", title="", id=id, created="", config={}, config_hash="", values=values)


def test_ids_files_and_arrays_in_the_order_given(tmp_path: Path) -> None:
    Store().save(result("0stored"))
    (tmp_path / "result.json").write_text(to_json(result("0file"), indent=1))
    (tmp_path / "all").write_text(export([result("0a"), result("0b")], "json"))
    names = [str(tmp_path / "all"), "0st", str(tmp_path / "result.json"), "last"]
    assert read_results(names) == [result(id) for id in ("0a", "0b", "0stored", "0file", "0stored")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no file '.*': give a result.json, or the id of a stored run"),
        ("{", "is not JSON: "),
        ("{}", "'.*': not a valid Result: instrument: Field required"),
        ("[1]", "'.*': not a valid Result"),
        ('"text"', "'.*': not a valid Result"),
    ],
)
def test_a_bad_file_is_named(content: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_results([str(path)])
    assert "result.json" in str(caught.value)
    assert "\n" not in str(caught.value)
