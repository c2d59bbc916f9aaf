"""The recorder makes a frozen record of what an instrument found, or nothing if it failed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from seqtant.errors import InputError
from seqtant.findings import Estimate, Result, from_json, to_json
from seqtant.runs.recorder import Context, Recorder, environment, new_id
from seqtant.settings import config_hash


@dataclass(frozen=True)
class Half:
    """Settings."""

    x: float = 3.0
    """A number."""


def test_everything_recorded_is_in_the_result(tmp_path: Path) -> None:
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"\x01" * 3_000_000)
    with Recorder("demo.half", "Half", Half(), Context(seed=5, command="seqtant demo half"), papers=(8,)) as record:
        record.value("half", np.float32(1.5))
        record.finding("half", "How much?", "agrees", "1.5", measured=Estimate.exact(1.5), advice="Be content.")
        record.measure("x", 2, step=1, seed=5, group="g", unit="m")
        record.table("t", "T", ("a",), [(1,)])
        record.warn("careful")
        record.artifact(weights, "weights")
        record.part(Result(instrument="a.b", title="", id="1", created="", config={}, config_hash=""))
    result = record.result
    assert result.values == {"half": 1.5}
    assert result.findings[0].advice == "Be content."
    assert (result.measurements[0].value, result.measurements[0].group) == (2.0, "g")
    assert result.artifacts[0].sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert result.artifacts[0].bytes == 3_000_000
    assert (result.seed, result.command, result.papers, result.warnings) == (5, "seqtant demo half", (8,), ("careful",))
    assert (result.config, result.config_hash) == ({"x": 3.0}, config_hash(Half()))
    assert result.environment.items() >= environment().items()
    assert result.parts[0].id == "1"
    assert result.wall_seconds > 0
    assert from_json(Result, to_json(result)) == result


def test_there_is_no_result_before_the_end_or_after_an_error() -> None:
    record = Recorder("demo.half", "Half", Half(), Context())
    with pytest.raises(RuntimeError, match="no result yet"):
        _ = record.result
    with pytest.raises(ZeroDivisionError), record:
        _ = 1 / 0
    with pytest.raises(RuntimeError, match="no result yet"):
        _ = record.result


def test_ids_are_unique_and_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000
    ids = []
    for seconds in (1e9, 1.7e9, 1.7e9 + 0.001, 1.7e9 + 0.002, 4e9):
        monkeypatch.setattr("time.time", lambda seconds=seconds: seconds)
        ids.append(new_id())
    assert ids == sorted(ids)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_no_generator_takes_is_refused(seed: int) -> None:
    with pytest.raises(InputError, match="seed is"):
        Context(seed=seed)
