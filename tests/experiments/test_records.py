"""Records kept with the source: found by configuration and seed, whatever version made them, nothing else taken."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqtant.errors import InputError
from seqtant.experiments.claims import check_claims, read_claims
from seqtant.experiments.records import Records, default_folder
from seqtant.findings import Result, to_json
from seqtant.instruments import config_type, run
from seqtant.runs.recorder import Context
from seqtant.runs.store import Store

pytestmark = pytest.mark.usefixtures("demo_package")


def record(**settings: Any) -> Result:
    return run(config_type("demo.pendulum")(**settings), Context())


def keep(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def test_a_kept_record_is_found_deep_in_the_folder_and_in_arrays(tmp_path: Path) -> None:
    one, two = record(length=1.0), record(length=2.0)
    keep(tmp_path, "a/b/runs.json", f"[{to_json(one)}, {to_json(two)}]")
    records = Records(tmp_path)
    assert records.find("demo.pendulum", two.config_hash, seed=0) == two
    assert records.find("demo.pendulum", two.config_hash, seed=1) is None
    assert records.find("demo.other", two.config_hash, seed=0) is None


def test_the_newest_sound_record_counts(tmp_path: Path) -> None:
    old = replace(record(length=1.0), created="2026-01-01T00:00:00+00:00")
    new = replace(old, id="1", created="2026-02-01T00:00:00+00:00")
    broken = replace(old, id="2", created="2026-03-01T00:00:00+00:00", status="failed")
    for each in (old, new, broken):
        keep(tmp_path, f"{each.id}.json", to_json(each))
    assert Records(tmp_path).find("demo.pendulum", old.config_hash, seed=0) == new


def test_a_setting_that_came_later_was_at_its_default(tmp_path: Path) -> None:
    today = record(length=1.5)
    data = json.loads(to_json(today))
    data["config"] = {"length": 1.5}
    data["config_hash"] = "0" * 16
    keep(tmp_path, "old.json", json.dumps(data))
    found = Records(tmp_path).find("demo.pendulum", today.config_hash, seed=0)
    assert found is not None
    assert found.values == today.values


def test_what_is_no_record_is_passed_over(tmp_path: Path) -> None:
    kept = record(length=1.0)
    gone = json.loads(to_json(kept)) | {"config": {"no_such_setting": 1}}
    keep(tmp_path, "gone.json", json.dumps(gone))
    keep(tmp_path, "numbers.json", "[1, 2, {}]")
    keep(tmp_path, "text.json", "not JSON")
    assert Records(tmp_path).find("demo.pendulum", kept.config_hash, seed=0) is None


def test_claims_are_taken_from_kept_records_with_their_date(tmp_path: Path) -> None:
    made = [record(length=length) for length in (0.994, 1.0)]
    for number, each in enumerate(made):
        keep(tmp_path, f"{number}.json", to_json(each))
    entries = check_claims(read_claims(), Context(), Store(), records=Records(tmp_path))
    assert {entry.run for entry in entries if entry.run} == {each.id for each in made}
    assert {entry.stored[:2] for entry in entries if entry.run} == {"20"}
    assert Store().list() == []


def test_where_records_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import seqtant

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(seqtant, "__file__", str(tmp_path / "site" / "lib" / "seqtant" / "__init__.py"))
    assert default_folder() is None
    (tmp_path / "results").mkdir()
    assert default_folder() == tmp_path / "results"
    with pytest.raises(InputError, match=r"no folder '.*nowhere'"):
        Records(tmp_path / "nowhere")
