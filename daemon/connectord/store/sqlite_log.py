"""The write-ahead log: writing it back beside the writer, and who holds it up."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from connectord.store.sqlite_connection import open_checkpointer, translate_errors


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How much of the log there is, and how much of it is written back, in bytes.

    ``generation`` tells it from the log before, which was written back as a whole.
    """

    log_bytes: int
    done_bytes: int
    generation: int = 0


class LogWriter:
    """Writes the log back, on a connection of its own. One call at a time."""

    def __init__(self, path: Path, connect: Callable[[Path], sqlite3.Connection] = open_checkpointer) -> None:
        with translate_errors():
            self._connection = connect(path)
            self._page_size = self._connection.execute("PRAGMA page_size").fetchone()[0]
        self._log = path.with_name(f"{path.name}-wal")

    def write_back(self) -> Checkpoint:
        """Write back what no reader needs any more; waits for nobody, and keeps nobody waiting.

        Commits go on meanwhile. If none came while pages were copied, the database file is synced, too, and once
        nobody reads from the log, the next commit begins it anew. Raises :class:`connectord.errors.StoreError`.
        """
        with translate_errors():
            _, log, done = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return Checkpoint(max(log, 0) * self._page_size, max(done, 0) * self._page_size, self._generation())

    def _generation(self) -> int:
        """The checkpoint sequence number in the log's header, which grows whenever the log begins anew."""
        try:
            with self._log.open("rb") as file:
                return int.from_bytes(file.read(16)[12:], "big")
        except OSError:
            return 0

    def close(self) -> None:
        """Close the connection; the writer's is closed after it."""
        self._connection.close()


def other_readers(path: Path) -> list[str]:
    """The other processes that have the database open, as far as the kernel shows them to us: ``1234 (datasette)``."""
    return sorted(_readers(path)) if Path("/proc/self/fd").exists() else []


def _readers(path: Path) -> Iterator[str]:
    try:
        wanted = path.stat()
    except OSError:
        return
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal() or int(process.name) == os.getpid():
            continue
        with suppress(OSError):  # it has ended meanwhile, or is somebody else's
            for descriptor in (process / "fd").iterdir():
                found = descriptor.stat()
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                    yield f"{process.name} ({name})"
                    break
