"""The run database: exact, all or nothing, safe against killed and concurrent processes, clear about damage."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqtant.errors import InputError
from seqtant.findings import Artifact, Claim, ClaimCheck, Estimate, Finding, Measurement, Result
from seqtant.runs.store import FIRST, MIGRATIONS, Migration, Store, home, migrate


def result(id: str = "0abc", **fields: Any) -> Result:
    base = {
        "instrument": "demo.half",
        "title": "Half",
        "id": id,
        "created": "2026-01-01T00:00:00+00:00",
        "config": {"x": 3.0},
        "config_hash": "12ab",
        "environment": {"seqtant": "0.1.0", "commit": "beef"},
    }
    return Result(**base | fields)


def full() -> Result:
    claim = Claim(id="p8.depth", paper=8, statement="", locator="T1", published=96, tolerance=1, source="text")
    return result(
        values={"half": 1.5, "bound": float("inf"), "parameters": 10**20, "missing": None},
        findings=(
            Finding(
                key="half",
                question="?",
                verdict="agrees",
                summary="",
                predicted=Estimate.exact(1.5),
                measured=Estimate(value=1.4, low=1.2, high=float("inf"), method="t", n=4),
            ),
        ),
        measurements=tuple(Measurement(key="x", value=n / 7, step=n, seed=1, group="g") for n in range(50)),
        claims=(ClaimCheck(claim=claim, observed=Estimate.exact(95), verdict="reproduced"),),
        artifacts=(Artifact(path="a.bin", kind="weights", sha256="00", bytes=3),),
        warnings=("careful",),
        papers=(8,),
    )


def rows(store: Store, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(store.path)) as connection:
        return connection.execute(query).fetchall()


def test_a_run_comes_back_as_it_went_in() -> None:
    Store().save(full())
    assert Store().load("0abc") == full()


def test_every_table_is_filled() -> None:
    store = Store()
    store.save(full())
    assert rows(store, "SELECT key, value FROM value ORDER BY key") == [
        ("bound", float("inf")),
        ("half", 1.5),
        ("missing", None),
        ("parameters", 1e20),
    ]
    assert rows(store, "SELECT finding, side, value, low, high, n FROM estimate") == [
        ("half", "predicted", 1.5, 1.5, 1.5, None),
        ("half", "measured", 1.4, 1.2, float("inf"), 4),
    ]
    assert rows(store, 'SELECT count(*), min(step), max(step), max("group") FROM measurement') == [(50, 0.0, 49.0, "g")]
    assert rows(store, "SELECT claim, published, observed, verdict FROM claim") == [
        ("p8.depth", 96.0, 95.0, "reproduced")
    ]
    assert rows(store, "SELECT path, bytes FROM artifact") == [("a.bin", 3)]
    assert rows(store, "SELECT verdict, version, asked FROM run") == [("agrees", "0.1.0", 1)]


def test_parts_are_runs_of_their_own() -> None:
    store = Store()
    inner = result("0inner", instrument="demo.half")
    middle = result("0middle", instrument="demo.both", parts=(inner, inner))
    outer = result("0outer", instrument="checkup", parts=(middle, result("0other")))
    store.save(outer)
    assert store.load("0outer") == outer
    assert store.load("0inner") == inner
    assert [row.id for row in store.list()] == ["0outer"]
    assert len(store.list(parts=True)) == 4
    store.save(inner)
    assert {row.id for row in store.list()} == {"0outer", "0inner"}


def test_saving_again_changes_nothing_and_other_contents_are_refused() -> None:
    store = Store()
    store.save(full())
    store.save(store.load("0abc"))
    assert len(store.list()) == 1
    with pytest.raises(InputError, match="never overwritten"):
        store.save(replace(full(), title="Other"))
    assert store.load("0abc") == full()


def test_a_save_that_fails_leaves_nothing() -> None:
    store = Store()
    store.save(result("0kept"))
    good, bad = result("0good"), result("0kept", title="clash")
    with pytest.raises(InputError, match="0kept"):
        store.save(result("0outer", parts=(good, bad)))
    assert [row.id for row in store.list(parts=True)] == ["0kept"]


def test_ids_by_unique_prefix_and_last() -> None:
    store = Store()
    for id in ("0aa1", "0aa2", "0b", "0aa"):
        store.save(result(id))
    assert store.load("0b").id == "0b"
    assert store.load("0aa").id == "0aa"
    assert store.load("last").id == "0b"
    with pytest.raises(InputError, match="fits several runs"):
        store.load("0a")
    with pytest.raises(InputError, match="no stored run '%'"):
        store.load("%")


def test_lists_are_filtered_and_newest_first() -> None:
    store = Store()
    store.save(result("01", instrument="demo.half"))
    store.save(result("02", instrument="demonic.half"))
    store.save(result("03", instrument="demo.third", status="failed"))
    ids = {name: [row.id for row in store.list(instrument=name)] for name in ("demo", "demo.half", "demonic", "dem")}
    assert ids == {"demo": ["03", "01"], "demo.half": ["01"], "demonic": ["02"], "dem": []}
    assert [row.id for row in store.list(limit=2)] == ["03", "02"]
    assert [row.id for row in store.list(status="failed")] == ["03"]


def test_find_takes_the_newest_sound_run_of_that_seed_and_version() -> None:
    store = Store()
    store.save(result("01"))
    store.save(result("02", seed=5))
    store.save(result("03", status="failed"))
    found = {
        "any": store.find("12ab"),
        "seed": store.find("12ab", seed=0),
        "version": store.find("12ab", version="0.2.0"),
        "instrument": store.find("12ab", instrument="demo.third"),
        "hash": store.find("ffff"),
    }
    assert {key: run and run.id for key, run in found.items()} == {
        "any": "02",
        "seed": "01",
        "version": None,
        "instrument": None,
        "hash": None,
    }


def test_home_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQTANT_HOME", "~/elsewhere")
    assert home() == Path.home() / "elsewhere"
    monkeypatch.delenv("SEQTANT_HOME")
    assert home() == Path.home() / ".seqtant"


# Saves runs of a given number of rows, and says so before and after each.
WRITER = """
import sys
from dataclasses import replace
from seqtant.findings import Measurement, Result
from seqtant.runs.store import Store
rows = tuple(Measurement(key="x", value=n) for n in range(int(sys.argv[2])))
for number in range(int(sys.argv[3])):
    id = f"{sys.argv[1]}{number:04}"
    print("saving", flush=True)
    run = Result(instrument="demo.half", title="", id=id, created="", config={}, config_hash="", measurements=rows)
    Store().save(run)
    print(id, flush=True)
"""


def start(name: str, rows: int, runs: int) -> subprocess.Popen[str]:
    call = [sys.executable, "-c", WRITER, name, str(rows), str(runs)]
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is what kills a process on POSIX systems")
def test_a_process_killed_while_saving_loses_only_that_run() -> None:
    store = Store()
    store.save(full())
    with start("0k", 300_000, 1) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "saving\n"
        journal = store.path.with_name(store.path.name + "-wal")
        while writer.poll() is None and (not journal.exists() or journal.stat().st_size < 100_000):
            pass
        os.kill(writer.pid, signal.SIGKILL)
        unfinished = writer.stdout.read() == ""
    assert unfinished, "the writer finished before it was killed: the test says nothing"
    assert [row.id for row in store.list()] == ["0abc"]
    assert rows(store, "SELECT count(*) FROM measurement WHERE run = '0k0000'") == [(0,)]
    assert rows(store, "PRAGMA integrity_check") == [("ok",)]
    store.save(result("0after"))
    assert store.load("0after") == result("0after")


def test_processes_that_write_at_once_all_get_through() -> None:
    writers = [start(f"0{name}", 300, 15) for name in "abc"]
    errors = [writer.communicate()[1] for writer in writers]
    assert errors == ["", "", ""]
    store = Store()
    assert len(store.list()) == 45
    assert rows(store, "SELECT count(*) FROM measurement") == [(45 * 300,)]


@pytest.mark.parametrize(
    "content", [b"this is no database, it is a letter to my aunt" * 40, b"SQLite format 3\x00" + b"\xff" * 4000]
)
def test_a_damaged_file_is_told_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged or no run database") as caught:
        Store(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmark (url TEXT)")
        connection.commit()
    with pytest.raises(InputError, match="another program's database"):
        Store(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("bookmark",)]


def test_a_newer_database_asks_for_an_upgrade(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs.sqlite")
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("INSERT INTO migration VALUES (99, 'from the future', '')")
        connection.commit()
    with pytest.raises(InputError, match=r"newer Seqtant .* upgrade seqtant"):
        store.list()


@pytest.mark.parametrize("broken", ["a file where the folder should be", "a folder where the file should be"])
def test_a_place_that_cannot_be_used_is_told(broken: str, tmp_path: Path) -> None:
    if broken.startswith("a file"):
        (tmp_path / "home").write_text("")
    else:
        (tmp_path / "home" / "runs.sqlite").mkdir(parents=True)
    with pytest.raises(InputError, match=r"cannot use .*SEQTANT_HOME"):
        Store(tmp_path / "home" / "runs.sqlite")


def open_database(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def test_migrations_are_applied_once_in_order_and_recorded(tmp_path: Path) -> None:
    second = Migration("notes", ("ALTER TABLE run ADD COLUMN note TEXT NOT NULL DEFAULT ''",))
    store = Store(tmp_path / "runs.sqlite")
    store.save(full())
    with closing(open_database(store.path)) as connection:
        for _ in range(2):
            migrate(connection, "runs.sqlite", (*MIGRATIONS, second))
        assert connection.execute("SELECT number, name FROM migration").fetchall() == [(1, FIRST.name), (2, "notes")]
        assert connection.execute("SELECT id, note FROM run").fetchall() == [("0abc", "")]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    broken = Migration("broken", ("CREATE TABLE fine (x) ", "CREATE TABLE run (twice)"))
    store = Store(tmp_path / "runs.sqlite")
    with closing(open_database(store.path)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            migrate(connection, "runs.sqlite", (*MIGRATIONS, broken))
        assert connection.execute("SELECT count(*) FROM migration").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'fine'").fetchall() == [(0,)]
    store.save(full())
