"""The databases of simulated disks: SQLite in memory, made once and then used by one disk after the other.

SQLite compiles every statement anew after a change of the schema, after a copy over the whole database, and after most
settings: that took as long as everything else that a seed does. So a database is emptied instead of made anew, and a
setting that it has already is not made again.
"""

from __future__ import annotations

import re
import sqlite3
from functools import cache
from typing import Any

from connectord.store.sqlite_connection import prepare_writer

DURABLE = 2
"""From this value of ``PRAGMA synchronous`` on (FULL), a power cut takes nothing that was committed."""

_SETTING = re.compile(r"PRAGMA (\w+) ?= ?([\w-]+);?")
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid DESC"
"""What refers to another table was made after it, and comes first."""


class MemoryDatabase:
    """One database, with the schema of today and what migrations put into it."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
        self.is_durable = False
        """Whether a power cut takes nothing that was committed."""
        self._settings: dict[str, str] = {}
        self._copy()

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        """One statement; a setting that is made already is not made again."""
        setting = _setting_in(sql)
        if setting is None:
            return self.connection.execute(sql, parameters)
        name, value = setting
        if self._settings.get(name) == value:
            return self.connection.cursor()
        done = self.connection.execute(sql)
        self._settings[name] = value
        self.is_durable = self.connection.execute("PRAGMA synchronous").fetchone()[0] >= DURABLE
        return done

    def renew(self) -> None:
        """Make it what it was in the beginning, in everything that a daemon could see."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        self.connection.execute("BEGIN IMMEDIATE")
        for delete, insert, rows in _first_rows():
            self.connection.execute(delete)
            self.connection.executemany(insert, rows)
        self.connection.execute("COMMIT")
        self.connection.execute("PRAGMA incremental_vacuum").fetchall()
        if _sizes(self.connection) != self._first_sizes:
            self._copy()

    def _copy(self) -> None:
        blank().backup(self.connection)
        self._first_sizes = _sizes(self.connection)


def take_database() -> MemoryDatabase:
    """One that is as migrations leave it. Give it back with :func:`give_back`."""
    return _IDLE.pop() if _IDLE else MemoryDatabase()


def give_back(database: MemoryDatabase) -> None:
    """Leave the database to the next disk."""
    database.renew()
    _IDLE.append(database)


@cache
def blank() -> sqlite3.Connection:
    """A database with the schema of today and nothing else; made once, for migrating takes longer than a life."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    prepare_writer(connection)
    return connection


@cache
def _first_rows() -> list[tuple[str, str, list[tuple[object, ...]]]]:
    """For each table: what empties it, and what puts into it what migrations do."""
    tables = [name for (name,) in blank().execute(_TABLES)]
    found = []
    for table in tables:
        rows = blank().execute(f'SELECT * FROM "{table}"')  # noqa: S608 - names of our own tables
        places = ", ".join("?" * len(rows.description))
        found.append((f'DELETE FROM "{table}"', f'INSERT INTO "{table}" VALUES ({places})', rows.fetchall()))  # noqa: S608
    return found


def _sizes(connection: sqlite3.Connection) -> list[int]:
    names = ("page_count", "freelist_count", "schema_version")
    return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]


@cache
def _setting_in(sql: str) -> tuple[str, str] | None:
    """The name and the value, where the statement is a setting of the connection."""
    found = _SETTING.fullmatch(sql)
    return None if found is None else (found[1], found[2])


_IDLE: list[MemoryDatabase] = []
