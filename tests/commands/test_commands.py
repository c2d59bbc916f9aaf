"""The commands over what is stored: for people, for programs, and in one line where something is wrong."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from cyclopts import App

from seqtant import cli
from seqtant.cli import app
from seqtant.commands.options import Options
from seqtant.findings import Result, from_json
from seqtant.runs import recorder as machine
from seqtant.runs.store import Store

RECIPE = """
name: swing
paper: 8
question: Does the period grow?
instrument: demo.pendulum
scales: {smoke: {runs: [{length: 1}, {length: 4}]}}
expected: Twice the period.
"""


@pytest.fixture
def two_runs(call: Any) -> list[str]:
    call("demo", "pendulum", "--length", "1")
    call("demo", "pendulum", "--length", "2")
    return [row.id for row in Store().list()][::-1]


def test_runs_list(call: Any, two_runs: list[str]) -> None:
    shown = call("runs", "list").out
    assert shown.index(two_runs[1]) < shown.index(two_runs[0])
    assert "demo.pendulum" in shown
    assert two_runs[0] not in call("runs", "list", "--limit", "1").out
    assert "nothing is stored yet of 'other'" in call("runs", "list", "--instrument", "other").out
    assert call("runs", "list", "--limit", "0").error.startswith("seqtant: limit is 0")
    rows = json.loads(call("runs", "list", "--json").out)
    assert [row["id"] for row in rows] == two_runs[::-1]


def test_runs_show(call: Any, two_runs: list[str]) -> None:
    assert "A pendulum of 1 m" in call("runs", "show", two_runs[0]).out
    assert from_json(Result, call("runs", "show", "last", "--json").out) == Store().load(two_runs[1])


def test_runs_compare(call: Any, two_runs: list[str]) -> None:
    shown = call("runs", "compare", *two_runs)
    assert shown.code == 0
    assert "length" in shown.out
    assert "paired Student t" in shown.out
    data = json.loads(call("runs", "compare", *two_runs, "--json").out)
    assert data["settings"] == [["length", 1.0, 2.0]]
    law = next(each for each in data["differences"] if each["quantity"] == "law_seconds")
    assert law["difference"]["value"] == pytest.approx(law["first"] * (2**0.5 - 1))
    assert call("runs", "compare", *two_runs, "--level", "95").code == 2


@pytest.mark.parametrize("format", ["json", "jsonl", "csv"])
def test_runs_export(format: str, call: Any, two_runs: list[str]) -> None:
    printed = call("runs", "export", *two_runs, "--format", format).out
    assert call("runs", "export", *two_runs, "--format", format, "-o", "out/file").out == ""
    assert Path("out/file").read_text() == printed
    if format == "csv":
        ids = {row["run"] for row in csv.DictReader(io.StringIO(printed))}
    elif format == "json":
        ids = {each["id"] for each in json.loads(printed)}
    else:
        ids = {json.loads(line)["id"] for line in printed.splitlines()}
    assert ids == set(two_runs)


def test_report_of_stored_runs_and_files(call: Any, two_runs: list[str]) -> None:
    call("demo", "pendulum", "--length", "3", "--out", "out")
    done = call("report", *two_runs, "out/result.json", "-o", "page.html")
    assert done.out == "page.html\n"
    text = Path("page.html").read_text()
    assert all(f"A pendulum of {length} m" in text for length in (1, 2, 3))
    assert "3 runs side by side" in text


def test_cite(call: Any, two_runs: list[str]) -> None:
    assert call("cite").out.count("eprint = ") == 9
    cited = call("cite", "last").out
    assert cited.count("eprint = ") == 2
    assert "2304.11082" in cited
    assert "2006.12467" in cited


def test_env(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "device", lambda: "abacus")
    shown = call("env").out
    assert "abacus" in shown
    assert "runs.sqlite" in shown
    facts = json.loads(call("env", "--json").out)
    assert facts["device"] == "abacus"
    assert set(facts["extras"]) >= {"data", "peft", "retrieval", "speech"}


def test_claims_list(call: Any) -> None:
    shown = call("claims", "list").out
    assert "2 ± 0.005 s" in shown
    assert {"demo.remembered", "memory", "(plaque)", "gpu"} <= set(shown.split())
    assert [each["id"] for each in json.loads(call("claims", "list", "--paper", "3", "--json").out)] == [
        "demo.remembered",
        "demo.needs_a_tower",
    ]


def test_claims_check(call: Any) -> None:
    done = call("claims", "check")
    assert done.code == 0
    verdicts = {line.split()[-1]: " ".join(line.split()[:-1]) for line in done.out.splitlines() if " demo." in line}
    assert verdicts == {
        "demo.seconds_pendulum": "reproduced",
        "demo.law_of_one_metre": "reproduced",
        "demo.remembered": "unverified source",
        "demo.needs_a_tower": "not run",
    }
    assert "published 2.006 s   observed 2.006 s exact   now" in done.out
    assert "observed 2.006 s exact   stored 20" in call("claims", "check").out
    assert "stored before" not in done.out
    assert "2 runs were stored before, the oldest on 20" in call("claims", "check").out
    assert "2 reproduced, 1 unverified source, 1 not run" in done.out
    assert call("claims", "check", "--format", "markdown").out.startswith("| claim | published | observed |")
    as_json = json.loads(call("claims", "check", "--json", "--paper", "8").out)
    assert [each["check"]["claim"]["paper"] for each in as_json] == [8, 8]
    assert json.loads(call("claims", "check", "--format", "json", "--paper", "8").out) == as_json


def test_a_claim_that_fails_is_exit_code_1(call: Any, demo_package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqtant.demo.instruments import pendulum  # pyright: ignore[reportMissingImports]

    monkeypatch.setattr(pendulum, "GRAVITY", 1.62)
    done = call("claims", "check", "--package", "demo")
    assert done.code == 1
    assert done.error == "seqtant: 2 of 4 claims failed: demo.seconds_pendulum, demo.law_of_one_metre\n"
    assert "not reproduced" in done.out


def test_recipe(call: Any) -> None:
    Path("recipes/demo").mkdir(parents=True)
    Path("recipes/demo/swing.yaml").write_text(RECIPE)
    assert "Does the period grow?" in call("recipe", "list").out
    first = call("recipe", "run", "swing", "--out", "out")
    assert first.code == 0
    assert "Twice the period." in first.out
    assert first.out.count(" new") == 2
    assert sorted(path.name for path in Path("out").glob("*.*")) == ["report.html", "results.json"]
    assert "Does the period grow?" in Path("out/report.html").read_text()
    again = call("recipe", "run", "swing")
    assert again.out.count(" stored") == 2
    assert [each["id"] for each in json.loads(call("recipe", "run", "swing", "--json").out)] == [
        each["id"] for each in json.loads(Path("out/results.json").read_text())
    ]
    assert len(Store().list()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs", "lst"], "list"),
        (["runs", "show"], "requires an argument"),
        (["runs", "show", "zzz"], "no stored run 'zzz'"),
        (["runs", "compare", "a", "b"], "no stored run 'a'"),
        (["runs", "export", "gone.json"], "no file 'gone.json'"),
        (["report", "broken.json"], "'broken.json' is not JSON"),
        (["report", "good.json", "-o", "good.json/page.html"], "cannot make the folder"),
        (["cite", "zzz"], "no stored run 'zzz'"),
        (["claims", "check", "--package", "demoo"], "did you mean 'demo'?"),
        (["claims", "check", "--scale", "huge"], "smoke"),
        (["claims", "check", "--records", "nowhere"], "no folder 'nowhere'"),
        (["recipe", "run", "nothing"], "no recipe 'nothing'"),
        (["recipe", "run", "gone.yaml"], "no file 'gone.yaml'"),
        (["env", "--jsn"], "--json"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], message: str, call: Any) -> None:
    Path("broken.json").write_text("{")
    call("demo", "pendulum", "--out", "made")
    Path("made/result.json").rename("good.json")
    done = call(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.error.startswith("seqtant: ")
    assert done.error.count("\n") == 1
    assert message in done.error


def commands(group: App) -> Iterator[tuple[str, Any]]:
    for name in group:
        if not name.startswith("-"):
            inner = list(commands(group[name]))
            yield from inner or [(name, group[name].default_command)]


def rounds(hint: Any) -> bool:
    return hint is int or (get_origin(hint) is not Annotated and any(rounds(each) for each in get_args(hint)))


def test_no_flag_of_any_command_rounds_a_number_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    """The parser alone reads 1.5 as a whole number where a flag's type is plain ``int``."""
    hints = {
        (name, flag): hint
        for name, command in [*commands(app), ("options", Options)]
        for flag, hint in get_type_hints(command, include_extras=True).items()
    }
    assert len(hints) > 300
    assert [each for each, hint in hints.items() if rounds(hint) and each[1] != "return"] == []
    assert cli.call(["quantum", "exact", "--seed", "1.5"]) == 2
    assert capsys.readouterr().err.endswith("'1.5' is not a whole number\n")
