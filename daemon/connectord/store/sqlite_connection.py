"""Opening SQLite the way connectord needs it, and telling its errors apart."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import connectord_schema
from sqlite_utils import Database, Migrations

from connectord.errors import StateDirectoryUnusable, StoreError, StoreFailed, StoreFull, StoreTooNew

MIGRATION_SET = "connectord"
MIGRATIONS = ("0001_initial.sql", "0002_people.sql", "0003_asking.sql", "0004_traces.sql", "0006_turns.sql")

CHECKPOINT_PAGES = 16_000
"""The WAL is written back at about 64 MiB: seldom enough to be cheap, often enough to stay bounded."""

# Transient: there is no room, or somebody holds the database. Everything else may mean that what the disk holds
# is no longer what we think.
_TRANSIENT = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn sqlite3's errors into :class:`StoreFull` and :class:`StoreFailed`."""
    try:
        yield
    except sqlite3.Error as error:
        raise translated(error) from error


def translated(error: sqlite3.Error) -> StoreError:
    """The error of ours that ``error`` stands for."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _TRANSIENT:
        return StoreFull(f"the store cannot take it now: {error}")
    return StoreFailed(f"the store failed: {error}")


def open_writer(path: Path) -> Database:
    """Open, or create, the database for the one writer, and bring its schema up to date.

    Raises :class:`StoreTooNew` where a newer connectord has been at work, :class:`StateDirectoryUnusable` where
    it cannot be opened or is no database.
    """
    try:
        connection = _connect(str(path))
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # acts before the first table is made
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA cache_size = -16384")
        database = Database(connection, execute_plugins=False)
        migrate(database)
    except sqlite3.Error as error:
        raise StateDirectoryUnusable(
            f"the database {path} cannot be opened: {error}; check its permissions, or restore a backup"
        ) from error
    path.chmod(0o600)
    return database


def open_reader(path: Path) -> Database:
    """Open the database for reading only; what is committed is seen at once."""
    with translate_errors():
        connection = _connect(f"file:{path}?mode=ro", uri=True)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -4096")
        return Database(connection, execute_plugins=False)


def migrate(database: Database) -> None:
    """Apply every migration that is missing, all of them in one transaction."""
    migrations = Migrations(MIGRATION_SET)
    for name in MIGRATIONS:
        migrations(name=name)(_Script(name))
    unknown = [applied.name for applied in migrations.applied(database) if applied.name not in MIGRATIONS]
    if unknown:
        raise StoreTooNew(
            f"the database was written by a newer connectord (it has {', '.join(unknown)}); "
            "install that version again, or restore a backup made before it"
        )
    with database.atomic():
        migrations.apply(database)


class _Script:
    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, database: Database) -> None:
        # executescript() would commit the migration's transaction behind our back
        statement = ""
        for line in connectord_schema.read_sql(self.__name__).splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                database.execute(statement)
                statement = ""


def _connect(target: str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(
        target,
        uri=uri,
        timeout=5.0,
        isolation_level=None,  # transactions are ours: BEGIN IMMEDIATE, never a silent DEFERRED one
        check_same_thread=False,  # one call at a time, though not always on the same thread
        cached_statements=256,
    )
