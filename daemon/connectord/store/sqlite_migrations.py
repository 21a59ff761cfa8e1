"""Bringing a database's schema up to date: forward only, all of it in one transaction, a backup first."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import connectord_schema

from connectord import __version__
from connectord.errors import BackupFailed, StateDirectoryUnusable, StoreTooNew
from connectord.store.sqlite_backup import copy_database, own_as

if TYPE_CHECKING:
    from sqlite_utils import Database

MIGRATION_SET = "connectord"
_TABLE = "_sqlite_migrations"
MIGRATIONS = (
    "0001_initial.sql",
    "0002_people.sql",
    "0003_asking.sql",
    "0004_traces.sql",
    "0005_upkeep.sql",
    "0006_turns.sql",
    "0007_pages.sql",
)

BACKUPS_NAME = "backups"
BACKUPS_KEPT = 3

# measured on one core: what 0002 to 0006 cost for a row, an index each in the mean
_ROWS_A_SECOND = 400_000
_BYTES_A_SECOND = 200_000_000

_COUNTED = ("actions", "history", "attempts", "cases")


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """What would be done to a database.

    ``pending`` has the name and the purpose of each migration that is missing. ``seconds`` is a rough estimate of how
    long they take, the backup included.
    """

    applied: tuple[str, ...]
    pending: tuple[tuple[str, str], ...]
    rows: dict[str, int]
    backup_bytes: int
    free_bytes: int
    seconds: float

    @property
    def backup_fits(self) -> bool:
        """Whether the disk has room for the backup, and as much again for the migration itself."""
        return self.free_bytes >= 2 * self.backup_bytes


def plan_migration(connection: sqlite3.Connection, path: Path) -> MigrationPlan:
    """What :func:`migrate` would do to the database at ``path``. Raises :class:`StoreTooNew`."""
    applied, missing = _look(connection)
    rows = {name: _count(connection, name) for name in _COUNTED if missing and has_table(connection, name)}
    size = _size(connection)
    return MigrationPlan(
        applied=applied,
        pending=tuple((_stem(name), _purpose(name)) for name in missing),
        rows=rows,
        backup_bytes=size,
        free_bytes=shutil.disk_usage(path.parent).free,
        seconds=len(missing) * sum(rows.values()) / _ROWS_A_SECOND + size / _BYTES_A_SECOND if missing else 0.0,
    )


def migrate(connection: sqlite3.Connection, path: Path | None) -> tuple[str, ...]:
    """Apply every migration that is missing, all of them in one transaction; which ones those were.

    Where the database at ``path`` has one already, it is copied first; with None it is not.
    Raises :class:`StoreTooNew`, and :class:`StateDirectoryUnusable` where the backup cannot be made.
    """
    applied, missing = _look(connection)
    if not missing:
        return ()
    if applied and path is not None:
        _keep_backup(connection, path, applied)
    from sqlite_utils import Database, Migrations  # nearly no start has a use for it

    database = Database(connection, execute_plugins=False)
    migrations = Migrations(MIGRATION_SET)
    for name in MIGRATIONS:
        migrations(name=name)(_Script(name))
    with database.atomic():
        migrations.apply(database)
        if has_table(connection, "migrated_by"):
            connection.executemany(
                "INSERT INTO migrated_by (migration, connectord) VALUES (?, ?)",
                [(name, __version__) for name in missing],
            )
    return tuple(missing)


def backup_name(applied: Sequence[str], seconds: float) -> str:
    """The name of the backup of a database with these migrations, made at that time (seconds since the epoch)."""
    number = max(applied, default="0000")[:4]
    return f"before-{number}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(seconds))}.db"


def _look(connection: sqlite3.Connection) -> tuple[tuple[str, ...], list[str]]:
    """The migrations that were applied, and those that are missing. Raises :class:`StoreTooNew`."""
    applied: tuple[str, ...] = ()
    if has_table(connection, _TABLE):
        # as sqlite_utils.Migrations writes it
        found = f"SELECT name FROM {_TABLE} WHERE migration_set = ? ORDER BY rowid"  # noqa: S608
        applied = tuple(row[0] for row in connection.execute(found, (MIGRATION_SET,)))
    unknown = [name for name in applied if name not in MIGRATIONS]
    if unknown:
        raise StoreTooNew(
            f"the database was written by {_daemon_of(connection, unknown)} (it has {', '.join(map(_stem, unknown))}), "
            f"and this is connectord {__version__}, which knows the schema up to {_stem(MIGRATIONS[-1])}; "
            "install that version again, or restore a backup made before it: the state directory's "
            f"{BACKUPS_NAME}/ has one of before the upgrade"
        )
    return applied, [name for name in MIGRATIONS if name not in applied]


def has_table(connection: sqlite3.Connection, name: str) -> bool:
    """Whether the database has such a table."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
    return found.fetchone() is not None


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def _daemon_of(connection: sqlite3.Connection, unknown: Sequence[str]) -> str:
    versions = []
    if has_table(connection, "migrated_by"):
        found = dict(connection.execute("SELECT migration, connectord FROM migrated_by").fetchall())
        versions = sorted({found[name] for name in unknown if name in found})
    return f"connectord {' and '.join(versions)}" if versions else "a newer connectord"


def _keep_backup(connection: sqlite3.Connection, path: Path, applied: Sequence[str]) -> None:
    directory = path.parent / BACKUPS_NAME
    needed, free = _size(connection), shutil.disk_usage(path.parent).free
    if free < 2 * needed:
        raise StateDirectoryUnusable(
            f"the database {path} has to be brought up to date, and the disk has no room for a backup before that: "
            f"{2 * needed:,} bytes are needed, {free:,} are free; make room, or run `connectord migrate --no-backup`"
        )
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        own_as(directory, path.parent)
        backup = directory / backup_name(applied, time.time())
        copy_database(path, backup, overwrite=True, check=False)
        own_as(backup, path.parent)
        for old in sorted(directory.glob("before-*.db"), key=lambda each: each.stat().st_mtime)[:-BACKUPS_KEPT]:
            old.unlink()
    except (OSError, BackupFailed) as error:
        raise StateDirectoryUnusable(f"the backup before the migration failed: {error}") from error


def _size(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _stem(name: str) -> str:
    return name.removesuffix(".sql")


def _purpose(name: str) -> str:
    """What a migration is for: the comment in its first line."""
    found = re.match(r"-- (.*)", connectord_schema.read_sql(name))
    return "" if found is None else found[1]


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
