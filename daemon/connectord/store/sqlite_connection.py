"""Opening SQLite the way connectord needs it, and telling its errors apart."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from connectord.errors import StateDirectoryUnusable, StoreError, StoreFailed, StoreFull
from connectord.store.sqlite_migrations import migrate

CHECKPOINT_PAGES = 16_000
"""Where nobody writes the WAL back beside the writer, the writer does so at about 64 MiB, within a commit."""

OLDEST_SQLITE = (3, 33, 0)
"""The first one that takes ``UPDATE ... FROM``; of August 2020."""

# Transient: there is no room, or somebody holds the database. Everything else may mean that what the disk holds
# is no longer what we think.
_TRANSIENT = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class _TranslatedErrors:
    # a class and not a generator, which costs ten times as much: every statement is within one
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise translated(error) from error


_TRANSLATED_ERRORS = _TranslatedErrors()


def translate_errors() -> _TranslatedErrors:
    """Turn sqlite3's errors into :class:`StoreFull` and :class:`StoreFailed`, within a block."""
    return _TRANSLATED_ERRORS


def translated(error: sqlite3.Error) -> StoreError:
    """The error of ours that ``error`` stands for."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _TRANSIENT:
        return StoreFull(f"the store cannot take it now: {error}")
    return StoreFailed(f"the store failed: {error}")


def open_writer(path: Path, *, keep_backup: bool = True) -> sqlite3.Connection:
    """Open, or create, the database for the one writer, and bring its schema up to date.

    What was there before a migration is kept beside it, in ``backups``; ``keep_backup`` false leaves that out.

    Raises :class:`StoreTooNew` where a newer connectord has been at work, :class:`StateDirectoryUnusable` where
    it cannot be opened or is no database, where there is no room for the backup, or where Python's SQLite is too old.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed, there = ".".join(map(str, OLDEST_SQLITE)), sqlite3.sqlite_version
        raise StateDirectoryUnusable(
            f"SQLite {needed} or newer is needed, and this Python has {there}; use one that was built with a newer one"
        )
    try:
        connection = prepare_writer(_connect(str(path)), path if keep_backup else None)
    except sqlite3.Error as error:
        raise StateDirectoryUnusable(
            f"the database {path} cannot be opened: {error}; check its permissions, or restore a backup"
        ) from error
    path.chmod(0o600)
    return connection


def prepare_writer(connection: sqlite3.Connection, path: Path | None = None) -> sqlite3.Connection:
    """Make a connection the one writer's: how it commits, and the schema up to date.

    What was there before a migration is kept beside ``path``, where one is given.
    """
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # acts before the first table is made
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA cache_size = -16384")
    migrate(connection, path)
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Open the database for reading only; what is committed is seen at once."""
    with translate_errors():
        connection = _connect(f"file:{path}?mode=ro", uri=True)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -4096")
        return connection


def open_checkpointer(path: Path) -> sqlite3.Connection:
    """A connection that writes the log back, beside the writer's: as safely, and nothing else."""
    connection = _connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _connect(target: str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(
        target,
        uri=uri,
        timeout=5.0,
        isolation_level=None,  # transactions are ours: BEGIN IMMEDIATE, never a silent DEFERRED one
        check_same_thread=False,  # one call at a time, though not always on the same thread
        cached_statements=1024,
    )
