"""The disk of a simulated machine: SQLite in memory, the faults it is to have, and what a power cut leaves of it.

The daemon's own store runs on it, statement by statement, over a connection that can fail at any of them.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import trio

from connectord.errors import StateDirectoryUnusable
from connectord.store.sqlite_connection import prepare_writer, translate_errors
from connectord.store.sqlite_log import LogWriter
from connectord.testing.simulation.database import give_back, take_database

IMAGES_KEPT = 8

TABLES = frozenset({"actions", "attempts", "history", "outbox", "merges", "late_responses", "config_versions"})
"""Those that :class:`connectord.testing.simulation.mirror.Mirror` reads."""

_WRITES = ("INSERT", "UPDATE", "DELETE", "COMMIT", "CREATE")


class PowerCut(BaseException):
    """The simulated machine is off: nothing that ran on it goes on."""


@dataclass(slots=True)
class DiskFaults:
    """What is wrong with the disk. The counts are of statements from now on; None: never."""

    full: bool = False
    cut_in: int | None = None
    """The power goes before this statement."""
    error_in: int | None = None
    """This statement fails with an I/O error."""
    read_error: bool = False
    """The next read beside the writer fails with an I/O error."""
    commit_then_error: bool = False
    """Where the statement that fails is a COMMIT: whether it is on disk all the same."""
    failed_at: float | None = None
    """When an I/O error was met: the daemon has to end with 74."""


@dataclass(eq=False)
class Disk:
    """Holds the database, and the files beside it, over all lives of the daemon.

    ``cut_power`` is called where the power goes in the midst of a statement; ``committed`` after every commit that
    changed something.
    """

    rng: random.Random
    cut_power: Callable[[], None]
    committed: Callable[[], None]
    files: dict[str, bytes] = field(default_factory=dict)
    faults: DiskFaults = field(default_factory=DiskFaults)
    touched: set[str] = field(default_factory=set)
    """The tables that were written to since the last commit."""

    def __post_init__(self) -> None:
        self._database = take_database()
        self.connection = self._database.connection
        self._images: list[sqlite3.Connection] = []
        self._changes = self.connection.total_changes

    def open_writer(self, is_off: Callable[[], bool]) -> Callable[[Path], sqlite3.Connection]:
        """What the store opens its writer with; ``is_off`` says whether the machine it runs on is."""

        def open_database(path: Path) -> sqlite3.Connection:
            try:
                return prepare_writer(cast("sqlite3.Connection", DiskConnection(self, is_off, writes=True)))
            except sqlite3.Error as error:
                raise StateDirectoryUnusable(f"the database {path} cannot be opened: {error}") from error

        return open_database

    def open_reader(self, is_off: Callable[[], bool]) -> Callable[[Path], sqlite3.Connection]:
        """As :meth:`open_writer`, for reading."""

        def open_database(path: Path) -> sqlite3.Connection:
            with translate_errors():
                return cast("sqlite3.Connection", DiskConnection(self, is_off, writes=False))

        return open_database

    def open_log(self, is_off: Callable[[], bool]) -> Callable[[Path], LogWriter]:
        """As :meth:`open_writer`, for writing the log back: here there is none, but it can fail."""

        def connect(path: Path) -> sqlite3.Connection:
            return cast("sqlite3.Connection", DiskConnection(self, is_off, writes=False))

        return partial(LogWriter, connect=connect)

    def lose_power(self) -> None:
        """What was not committed is gone; where the store does not wait for the disk, so may be what was."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        if len(self._images) > 1:
            kept = self.rng.randrange(len(self._images))
            self._images[kept].backup(self.connection)
            self._drop_images(kept + 1, len(self._images))
        self._changes = self.connection.total_changes

    def close(self) -> None:
        """Leave the database to the next disk, as it was in the beginning."""
        self._drop_images(0, len(self._images))
        give_back(self._database)

    def perform(self, run: Callable[..., sqlite3.Cursor], sql: str, parameters: Any, *, writes: bool) -> sqlite3.Cursor:
        """One statement of the writer, or of a reader, with the fault that it is to have."""
        faults = self.faults
        if faults.cut_in is not None:
            faults.cut_in -= 1
            if faults.cut_in <= 0:
                faults.cut_in = None
                self.cut_power()
                raise PowerCut
        if faults.error_in is not None:
            faults.error_in -= 1
            if faults.error_in <= 0:
                faults.error_in, faults.failed_at = None, trio.current_time()
                if sql == "COMMIT" and faults.commit_then_error:
                    run(sql, parameters)
                    self._note_commit()
                if not writes and self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")  # a reader's transaction is nothing to the writer
                raise _error("disk I/O error", sqlite3.SQLITE_IOERR)
        if faults.read_error and not writes and sql.startswith("SELECT") and not self.connection.in_transaction:
            faults.read_error, faults.failed_at = False, trio.current_time()
            raise _error("disk I/O error", sqlite3.SQLITE_IOERR)
        is_write = faults.full and writes and sql.startswith(_WRITES) and self.connection.in_transaction
        if is_write and (sql == "COMMIT" or self.rng.random() < 0.3):
            if self.rng.random() < 0.5:
                self.connection.execute("ROLLBACK")  # SQLite may end the transaction by itself
            raise _error("database or disk is full", sqlite3.SQLITE_FULL)
        done = run(sql, parameters)
        if sql == "COMMIT":
            self._note_commit()
        else:
            self.touched |= _written_by(sql)
        return done

    def execute(self, sql: str, parameters: Any) -> sqlite3.Cursor:
        """One statement, whatever faults there are."""
        return self._database.execute(sql, parameters)

    def _note_commit(self) -> None:
        changes = self.connection.total_changes
        if changes == self._changes:
            return
        self._changes = changes
        if self._database.is_durable:
            self._drop_images(0, len(self._images))
        else:
            image = sqlite3.connect(":memory:")
            self.connection.backup(image)
            self._images.append(image)
            self._drop_images(0, len(self._images) - IMAGES_KEPT)
        self.committed()
        self.touched.clear()

    def _drop_images(self, first: int, end: int) -> None:
        for image in self._images[first : max(first, end)]:
            image.close()
        del self._images[first : max(first, end)]


class DiskConnection:
    """The connection of one life of the daemon. It is dead once its machine is off."""

    def __init__(self, disk: Disk, is_off: Callable[[], bool], *, writes: bool) -> None:
        self._disk = disk
        self._writes = writes
        self._is_off = is_off

    @property
    def in_transaction(self) -> bool:
        return not self._is_off() and self._disk.connection.in_transaction

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if self._is_off():
            raise PowerCut
        return self._disk.perform(self._disk.execute, sql, parameters, writes=self._writes)

    def executemany(self, sql: str, parameters: Any) -> sqlite3.Cursor:
        if self._is_off():
            raise PowerCut
        return self._disk.perform(self._disk.connection.executemany, sql, parameters, writes=self._writes)

    def close(self) -> None:
        """The disk stays; a transaction that is left open is undone."""
        if self.in_transaction:
            self._disk.connection.execute("ROLLBACK")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk.connection, name)


@cache
def _written_by(sql: str) -> frozenset[str]:
    """The tables that a statement may write to: those that it names, if it is none that only reads."""
    return frozenset(re.findall(r"\w+", sql)) & TABLES if sql.startswith(_WRITES) else frozenset()


def _error(message: str, code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error
