"""The write-ahead log: writing it back beside the writer, and who holds it up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from connectord.store.sqlite_connection import open_checkpointer, translate_errors


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How much of the log there is, and how much of it is written back, in bytes."""

    log_bytes: int
    done_bytes: int


def write_back(path: Path) -> Checkpoint:
    """Write back what no reader needs any more; waits for nobody, and keeps nobody waiting.

    Raises :class:`connectord.errors.StoreError`.
    """
    with translate_errors(), closing(open_checkpointer(path)) as connection:
        _, log, done = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        return Checkpoint(max(log, 0) * size, max(done, 0) * size)


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
