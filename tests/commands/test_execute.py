"""One command from flags to exit code: resolved, run, stored, written, printed; failures early and in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqtant.commands import builder as execution
from seqtant.commands.builder import execute, judge
from seqtant.commands.options import Options
from seqtant.errors import GateError, InconclusiveError, InputError
from seqtant.findings import Claim, ClaimCheck, Estimate, Finding, Result, from_json
from seqtant.runs.store import Store


def test_prints_for_people_and_stores(call: Any) -> None:
    done = call("demo", "pendulum", "--length", "2", "--seed", "3")
    assert done.code == 0
    assert "A pendulum of 2 m" in done.out
    assert done.error == ""
    stored = Store().load("last")
    assert (stored.config["length"], stored.seed, stored.command) == (
        2.0,
        3,
        "seqtant demo pendulum --length 2 --seed 3",
    )


def test_json_is_one_object_and_nothing_else(call: Any) -> None:
    done = call("demo", "pendulum", "--json")
    result = from_json(Result, done.out)
    assert result == Store().load("last")
    assert set(json.loads(done.out)["values"]) == {"period_seconds", "law_seconds"}


def test_out_holds_record_and_page(call: Any) -> None:
    done = call("demo", "pendulum", "--out", "deep/out")
    assert sorted(path.name for path in Path("deep/out").iterdir()) == ["report.html", "result.json"]
    assert from_json(Result, Path("deep/out/result.json").read_text()) == Store().load("last")
    assert "deep/out/report.html" in done.out


def test_sources_of_settings_in_their_order(call: Any) -> None:
    Path("mine.yaml").write_text("length: 5\nclock: {error: 0.5}\n")
    done = call(
        "demo",
        "pendulum",
        "--preset",
        "smoke",
        "--config",
        "mine.yaml",
        "--length",
        "6",
        "--set",
        "clock.digits=2",
        "--set",
        "starts=3",
        "--json",
    )
    config = json.loads(done.out)["config"]
    assert config == {"length": 6.0, "angle": 5.0, "swings": 8, "starts": 3, "clock": {"error": 0.5, "digits": 2}}


def test_printed_settings_give_the_same_run(call: Any) -> None:
    printed = call("demo", "pendulum", "--preset", "smoke", "--set", "clock.error=1e-3", "--print-config")
    assert "  # Standard error of one timing, seconds.\n  error: 0.001\n" in printed.out
    assert Store().list() == []
    Path("again.yaml").write_text(printed.out)
    first = json.loads(call("demo", "pendulum", "--preset", "smoke", "--set", "clock.error=1e-3", "--json").out)
    second = json.loads(call("demo", "pendulum", "--config", "again.yaml", "--json").out)
    assert second["config_hash"] == first["config_hash"]
    assert second["values"] == first["values"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "lenght=3"], "--set: unknown key 'lenght' (did you mean 'length'?)"),
        (["--set", "clock.eror=3"], "--set: unknown key 'clock.eror' (did you mean 'error'?)"),
        (["--config", "gone.yaml"], "no file 'gone.yaml': give an existing YAML file"),
        (["--length", "0"], "length is 0.0: give a number above 0"),
        (["--length", "nan"], "length: NaN is no setting"),
        (["--length", "long"], "Invalid value for --length"),
        (["--preset", "tiny"], "--preset"),
        (["--lenght", "3"], "--length"),
        (["--seed", "-1"], "seed is -1: give a whole number"),
        (["--out", "taken"], "cannot make the folder 'taken'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], message: str, call: Any) -> None:
    Path("taken").write_text("")
    done = call("demo", "pendulum", *arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.error.startswith("seqtant: ")
    assert done.error.count("\n") == 1
    assert message in done.error
    assert Store().list() == []


def test_inconclusive_is_exit_code_3_with_the_numbers_printed(call: Any) -> None:
    done = call("demo", "pendulum", "--set", "starts=1", "--json")
    assert done.code == 3
    assert done.error.startswith("seqtant: inconclusive: One swing takes")
    assert from_json(Result, done.out).verdict == "inconclusive"


def refuse_to_run(config: Any, context: Any) -> Result:
    raise AssertionError("the work must not begin")


def test_places_are_checked_before_the_work(call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqtant.demo.config import PendulumConfig  # pyright: ignore[reportMissingImports]

    monkeypatch.setattr(execution, "run", refuse_to_run)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the folder"):
        execute(PendulumConfig, Options(out=tmp_path / "file" / "out"))
    monkeypatch.setenv("SEQTANT_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match="SEQTANT_HOME"):
        execute(PendulumConfig, Options())


def test_work_that_fails_leaves_no_empty_folder_and_loses_nothing(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqtant.demo.config import PendulumConfig  # pyright: ignore[reportMissingImports]

    def leave_and_fail(config: Any, context: Any) -> Result:
        if context.folder.name == "half":
            (context.folder / "checkpoint").write_text("paid for")
        raise InputError("nothing to swing")

    monkeypatch.setattr(execution, "run", leave_and_fail)
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("new", "half", "mine"):
        with pytest.raises(InputError, match="nothing to swing"):
            execute(PendulumConfig, Options(out=tmp_path / name))
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} >= {"half", "mine"}
    assert not (tmp_path / "new").exists()


def test_numbers_are_printed_even_where_they_cannot_be_kept(
    call: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Store, result: Result) -> None:
        raise InputError("the disk is full")

    monkeypatch.setattr(Store, "save", full)
    done = call("demo", "pendulum", "--json")
    assert done.code == 2
    assert done.error == "seqtant: the disk is full\n"
    assert from_json(Result, done.out).values


def result(**fields: Any) -> Result:
    base = {"instrument": "a.b", "title": "", "id": "0", "created": "", "config": {}, "config_hash": ""}
    return Result(**base | fields)


def found(verdict: Any, *, measured: bool = True) -> Finding:
    return Finding(
        key="k", question="", verdict=verdict, summary="few data", measured=Estimate.exact(1) if measured else None
    )


@pytest.mark.parametrize(
    "fine",
    [
        result(),
        result(findings=(found("disagrees"),)),
        result(findings=(found("inconclusive"), found("agrees"))),
        result(findings=(found("inconclusive", measured=False),)),
        result(findings=(found("inconclusive"),), parts=(result(findings=(found("vacuous"),)),)),
    ],
)
def test_a_sound_result_is_exit_code_0(fine: Result) -> None:
    judge(fine)


def test_failures_misses_and_want_of_data_are_told_apart() -> None:
    claim = Claim(id="p8.depth", paper=8, statement="", locator="", published=96, tolerance=1, source="text")
    missed = ClaimCheck(claim=claim, observed=Estimate.exact(9), verdict="not reproduced")
    with pytest.raises(GateError, match=r"not reproduced: p8\.depth"):
        judge(result(parts=(result(claims=(missed,)),)))
    with pytest.raises(GateError, match=r"failed: c\.d"):
        judge(result(parts=(result(instrument="c.d", status="failed"),)))
    with pytest.raises(InconclusiveError, match="inconclusive: few data"):
        judge(result(findings=(found("inconclusive"), found("vacuous", measured=False))))
    unverified = replace(missed, verdict="unverified source")
    judge(result(claims=(unverified,)))
