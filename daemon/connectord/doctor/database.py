"""Whether the database is whole, how large it is, and what of it is empty. Reads only, and never delays the writer."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from connectord.control import results as r
from connectord.doctor.findings import error, fine, warning
from connectord.sizes import bytes_text
from connectord.store.state_directory import DATABASE_NAME

CHECK = "database"
LARGE_LOG_BYTES = 256 * 1024 * 1024
LARGE_EMPTY_BYTES = 256 * 1024 * 1024

_STEPS_BETWEEN_LOOKS = 20_000
_RESTORE = "stop the daemon, keep a copy of the state directory, and restore a backup; sqlite3 has .recover"


def check_database(directory: Path, seconds: float) -> Iterator[r.Finding]:
    """Look through the whole database for at most ``seconds``."""
    path = directory / DATABASE_NAME
    if not path.exists():
        yield warning(CHECK, f"there is no database in {directory} yet", "the daemon makes it when it starts")
        return
    # a WAL database needs to write beside itself even to be read, if nobody has it open
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=1)) as connection:
            yield from _sizes(connection, path)
            yield _whole(connection, path, seconds)
    except sqlite3.Error as mistake:
        yield error(CHECK, f"{path} cannot be read: {mistake}", _RESTORE)


def _whole(connection: sqlite3.Connection, path: Path, seconds: float) -> r.Finding:
    deadline = time.monotonic() + seconds
    connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS_BETWEEN_LOOKS)
    try:
        problems = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
    except sqlite3.OperationalError as mistake:
        if mistake.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        advice = f"give it longer with --timeout, or run sqlite3 {path} 'PRAGMA quick_check' at a quiet hour"
        return warning(CHECK, f"not looked through to the end within {seconds:g} s", advice)
    finally:
        connection.set_progress_handler(None, 0)
    if problems != ["ok"]:
        return error(CHECK, f"{path} is damaged: {'; '.join(problems)}", _RESTORE)
    return fine(CHECK, "the database is whole")


def _sizes(connection: sqlite3.Connection, path: Path) -> Iterator[r.Finding]:
    pages, empty, page_bytes = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    size, free = pages * page_bytes, empty * page_bytes
    log_path = path.with_name(f"{path.name}-wal")
    log = log_path.stat().st_size if log_path.exists() else 0
    seen = f"{bytes_text(size)}, of which {bytes_text(free)} are empty; its log has {bytes_text(log)}"
    if log > LARGE_LOG_BYTES:
        yield warning(CHECK, seen, "a program that reads the database holds up its log: end it (fuser -v shows who)")
    elif free > LARGE_EMPTY_BYTES and free * 2 > size:
        advice = (
            f"it is used again; to give it back, stop the daemon and run sqlite3 {path} 'PRAGMA incremental_vacuum'"
        )
        yield warning(CHECK, seen, advice)
    else:
        yield fine(CHECK, seen)
