"""How the run database came to its present shape: numbered steps, each applied once and recorded.

To change the database, append a step; never edit one that was released.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from seqtant.errors import InputError


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
