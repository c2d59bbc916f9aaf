"""The database that keeps every run: one SQLite file, safe against killed and concurrent processes.

Its shape came by numbered migrations. To change it, append one; never edit one that was released.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from seqtant.errors import InputError
from seqtant.findings import Result, Verdict, from_json, to_json


@dataclass(frozen=True)
class Migration:
    """One step: its name and the statements that make it."""

    name: str
    statements: tuple[str, ...]


FIRST = Migration(
    "runs and what they found",
    (
        """CREATE TABLE run (
            id TEXT PRIMARY KEY,
            instrument TEXT NOT NULL,
            title TEXT NOT NULL,
            created TEXT NOT NULL,
            status TEXT NOT NULL,
            verdict TEXT,
            config_hash TEXT NOT NULL,
            seed INTEGER NOT NULL,
            version TEXT NOT NULL,
            "commit" TEXT NOT NULL,
            wall_seconds REAL NOT NULL,
            cpu_seconds REAL NOT NULL,
            asked INTEGER NOT NULL,  -- 1: saved for itself; 0: only as a part of another run
            record TEXT NOT NULL     -- the Result as JSON, without its parts
        ) STRICT""",
        "CREATE INDEX run_config ON run (instrument, config_hash, seed)",
        """CREATE TABLE part (
            run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            child TEXT NOT NULL REFERENCES run (id),
            PRIMARY KEY (run, position)
        ) STRICT""",
        """CREATE TABLE value (
            run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
            key TEXT NOT NULL,
            value REAL,
            PRIMARY KEY (run, key)
        ) STRICT""",
        """CREATE TABLE finding (
            run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            key TEXT NOT NULL,
            question TEXT NOT NULL,
            verdict TEXT NOT NULL,
            summary TEXT NOT NULL,
            advice TEXT NOT NULL,
            PRIMARY KEY (run, position)
        ) STRICT""",
        """CREATE TABLE estimate (
            run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
            finding TEXT NOT NULL,
            side TEXT NOT NULL CHECK (side IN ('predicted', 'measured')),
            value REAL NOT NULL,
            low REAL,
            high REAL,
            level REAL NOT NULL,
            method TEXT NOT NULL,
            n INTEGER,
            clusters INTEGER,
            unit TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX estimate_run ON estimate (run, finding)",
        """CREATE TABLE measurement (
            run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
            key TEXT NOT NULL,
            step REAL,
            seed INTEGER,
            "group" TEXT NOT NULL,
            value REAL NOT NULL,
            unit TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX measurement_run ON measurement (run, key)",
        """CREATE TABLE claim (
            run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
            claim TEXT NOT NULL,
            paper INTEGER NOT NULL,
            published REAL NOT NULL,
            tolerance REAL NOT NULL,
            observed REAL,
            verdict TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX claim_id ON claim (claim)",
        """CREATE TABLE artifact (
            run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
            path TEXT NOT NULL,
            kind TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            bytes INTEGER NOT NULL
        ) STRICT""",
    ),
)

MIGRATIONS: tuple[Migration, ...] = (FIRST,)

APPLICATION_ID = 0x53455154
"""Marks the file as ours ("SEQT"), so that another program's database is never written to."""


def migrate(connection: sqlite3.Connection, path: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Brings a database to the newest shape, in one transaction; does nothing if it is there already.

    The connection is in autocommit mode; ``path`` names the file in messages.
    """
    if _applied(connection, path) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have migrated in between.
        applied = _applied(connection, path)
        if applied > len(migrations):
            raise InputError(
                f"'{path}' was written by a newer Seqtant (shape {applied}, this one knows {len(migrations)}): "
                "upgrade seqtant, or set SEQTANT_HOME to another folder"
            )
        if applied == 0:
            connection.execute(
                "CREATE TABLE migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied TEXT NOT NULL) STRICT"
            )
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for number, migration in enumerate(migrations[applied:], start=applied + 1):
            for statement in migration.statements:
                connection.execute(statement)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            connection.execute("INSERT INTO migration VALUES (?, ?, ?)", (number, migration.name, now))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _applied(connection: sqlite3.Connection, path: str) -> int:
    """How many steps the database has seen; 0 for an empty file."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    if not tables and owner == 0:
        return 0
    if owner != APPLICATION_ID or "migration" not in tables:
        raise InputError(f"'{path}' is another program's database: move it away, or set SEQTANT_HOME to another folder")
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM migration").fetchone()[0])


_WAIT_SECONDS = 60.0


def home() -> Path:
    """The folder of the database: the environment variable ``SEQTANT_HOME``, by default ``~/.seqtant``."""
    return Path(os.environ.get("SEQTANT_HOME") or "~/.seqtant").expanduser()


@dataclass(frozen=True, kw_only=True)
class Row:
    """One stored run as a list shows it."""

    id: str
    instrument: str
    title: str
    created: str
    status: str
    verdict: Verdict | None
    config_hash: str
    seed: int
    version: str
    commit: str
    wall_seconds: float


_COLUMNS = 'id, instrument, title, created, status, verdict, config_hash, seed, version, "commit", wall_seconds'


class Store:
    """Saves and finds runs; every call is one transaction on its own connection.

    Args:
        path: The database file; by default ``runs.sqlite`` in :func:`home`.

    Raises:
        InputError: The file is damaged, of a newer version, of another program, or cannot be written.

    Example:
        >>> import tempfile
        >>> from seqtant.findings import Result
        >>> store = Store(Path(tempfile.mkdtemp()) / "runs.sqlite")
        >>> result = Result(instrument="demo.half", title="Half", id="0abc", created="2026-01-01T00:00:00+00:00",
        ...                 config={"x": 3.0}, config_hash="12ab", values={"half": 1.5})
        >>> store.save(result)
        >>> store.load("0a") == result
        True
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or home() / "runs.sqlite"
        with self._connect():
            pass

    def save(self, result: Result) -> None:
        """Saves a run and its parts, all or nothing; saving the same run again changes nothing.

        Raises:
            InputError: Another run with the same id is stored already.
        """
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                _save(connection, result, asked=True)
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise

    def load(self, id: str) -> Result:
        """Reads a run back exactly as it was saved.

        Args:
            id: The run's id, a prefix that only one run has, or ``last`` for the newest.

        Raises:
            InputError: There is no such run, or the prefix fits several.
        """
        with self._connect() as connection:
            if id == "last":
                wanted, given = "SELECT id FROM run WHERE asked ORDER BY id DESC LIMIT 1", ()
            else:
                # Not LIKE, whose wildcards an id given by hand could hold.
                wanted, given = "SELECT id FROM run WHERE substr(id, 1, length(?)) = ? LIMIT 6", (id, id)
            found = [full for (full,) in connection.execute(wanted, given)]
            if not found:
                raise InputError(f"no stored run '{id}': 'seqtant runs list' shows what there is")
            if id not in found and len(found) > 1:
                raise InputError(f"'{id}' fits several runs ({', '.join(found[:5])}): give more of the id")
            return _load(connection, id if id in found else found[0])

    def list(
        self, *, instrument: str = "", status: str = "", limit: int | None = None, parts: bool = False
    ) -> list[Row]:
        """Stored runs, the newest first.

        Args:
            instrument: An instrument such as ``"architecture.plan"``, or a room such as ``"architecture"``.
            status: ``"ok"`` or ``"failed"``.
            limit: At most so many.
            parts: Also runs that were only made as a part of another run.

        Raises:
            InputError: The limit is below 1.
        """
        if limit is not None and limit < 1:
            raise InputError(f"limit is {limit}: give a whole number of at least 1")
        wanted = "SELECT " + _COLUMNS + " FROM run WHERE (asked OR :parts)"
        wanted += " AND (:instrument IN ('', instrument) OR substr(instrument, 1, length(:room)) = :room)"
        wanted += " AND :status IN ('', status) ORDER BY id DESC LIMIT :limit"
        limits = {"instrument": instrument, "room": f"{instrument}.", "status": status, "parts": parts}
        with self._connect() as connection:
            found = connection.execute(wanted, limits | {"limit": -1 if limit is None else limit}).fetchall()
        return [Row(**dict(zip(Row.__dataclass_fields__, row, strict=True))) for row in found]

    def find(
        self, config_hash: str, *, instrument: str = "", seed: int | None = None, version: str = ""
    ) -> Result | None:
        """The newest sound run of a configuration, or None.

        Args:
            config_hash: See :func:`seqtant.settings.config_hash`.
            instrument: Only runs of this instrument.
            seed: Only runs with this seed.
            version: Only runs made by this version of the package.
        """
        wanted = "SELECT id FROM run WHERE config_hash = ? AND status = 'ok' AND ? IN ('', instrument)"
        wanted += " AND (? IS NULL OR seed = ?) AND ? IN ('', version) ORDER BY id DESC LIMIT 1"
        with self._connect() as connection:
            row = connection.execute(wanted, (config_hash, instrument, seed, seed, version)).fetchone()
            return _load(connection, row[0]) if row else None

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA foreign_keys = ON")
                migrate(connection, str(self.path))
                yield connection
        except OSError as error:
            raise InputError(
                f"cannot use '{self.path}': {error.strerror}: set SEQTANT_HOME to another folder"
            ) from error
        except sqlite3.Error as error:
            name, reason = getattr(error, "sqlite_errorname", ""), f"'{self.path}': {error}"
            if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
                reason = f"'{self.path}' is damaged or no run database: move it away, a new one is made"
            elif name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_FULL")):
                reason = f"cannot use '{self.path}': {error}: set SEQTANT_HOME to a folder that can be written"
            elif name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                reason = (
                    f"'{self.path}' has been locked by another process for {_WAIT_SECONDS:g} s: "
                    "wait for it and try again"
                )
            raise InputError(reason) from error


def _save(connection: sqlite3.Connection, result: Result, *, asked: bool) -> None:
    for part in result.parts:
        _save(connection, part, asked=False)
    record = to_json(replace(result, parts=()))
    stored = connection.execute("SELECT record FROM run WHERE id = ?", (result.id,)).fetchone()
    if stored is not None:
        # The record holds no parts, so their ids are compared as well.
        if stored[0] != record or _children(connection, result.id) != [part.id for part in result.parts]:
            raise InputError(f"run '{result.id}' is stored already with other contents: a run is never overwritten")
        if asked:
            connection.execute("UPDATE run SET asked = 1 WHERE id = ?", (result.id,))
        return
    run, made_by = result.id, result.environment
    row = (run, result.instrument, result.title, result.created, result.status, result.verdict, result.config_hash)
    row += (result.seed, made_by.get("seqtant", ""), made_by.get("commit", ""))
    row += (result.wall_seconds, result.cpu_seconds, asked, record)
    found = result.findings
    sides = [(f.key, side, e) for f in found for side in ("predicted", "measured") if (e := getattr(f, side))]
    seen = [(each.claim, each.observed and each.observed.value, each.verdict) for each in result.claims]
    rows: dict[str, list[tuple[Any, ...]]] = {
        "run": [row],
        "value": [(run, key, None if value is None else float(value)) for key, value in result.values.items()],
        "finding": [(run, i, f.key, f.question, f.verdict, f.summary, f.advice) for i, f in enumerate(found)],
        "estimate": [
            (run, key, side, e.value, e.low, e.high, e.level, e.method, e.n, e.clusters, e.unit)
            for key, side, e in sides
        ],
        "measurement": [(run, m.key, m.step, m.seed, m.group, m.value, m.unit) for m in result.measurements],
        "claim": [(run, c.id, c.paper, c.published, c.tolerance, value, verdict) for c, value, verdict in seen],
        "artifact": [(run, a.path, a.kind, a.sha256, a.bytes) for a in result.artifacts],
        "part": [(run, place, part.id) for place, part in enumerate(result.parts)],
    }
    for table, given in rows.items():
        if given:
            places = ", ".join("?" * len(given[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", given)


def _children(connection: sqlite3.Connection, id: str) -> list[str]:
    rows = connection.execute("SELECT child FROM part WHERE run = ? ORDER BY position", (id,))
    return [child for (child,) in rows]


def _load(connection: sqlite3.Connection, id: str) -> Result:
    record = cast(str, connection.execute("SELECT record FROM run WHERE id = ?", (id,)).fetchone()[0])
    parts = tuple(_load(connection, child) for child in _children(connection, id))
    return replace(from_json(Result, record), parts=parts)
