"""Copying a database that may be in use: whole, as of one commit, on disk before it has its name."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from connectord.errors import BackupFailed

PAGES_A_STEP = 1024
"""4 MiB: after each, whoever waits for the processor or the disk gets its turn."""

Progress = Callable[[int, int], None]
"""Hears how many pages are done, of how many."""


def copy_database(
    source: Path, target: Path, *, overwrite: bool = False, check: bool = True, progress: Progress | None = None
) -> None:
    """Copy the database at ``source`` to a new file ``target``, mode 0600, while others read and write it.

    One read transaction lasts as long as the copy does: what is committed meanwhile is not in it, never delays the
    writer, and is not delayed by it; only the write-ahead log grows until the end. With ``check`` the copy is read
    through and verified. ``target`` appears whole or not at all.

    Raises :class:`BackupFailed`.
    """
    if not overwrite and target.exists():
        raise BackupFailed(f"{target} is there already; name another file, or give --force to replace it")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        _remove(part)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _copy(source, part, progress)
        if check:
            check_database(part)
        put_in_place(part, target, overwrite=overwrite)
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BackupFailed(f"{source} could not be copied to {target}: {reason}") from error
    finally:
        _remove(part)


def put_in_place(part: Path, target: Path, *, overwrite: bool) -> None:
    """Give the finished file ``part`` the name ``target``; it is on disk by then, and so is its name.

    Raises :class:`OSError`, and :class:`BackupFailed` where there is such a file and ``overwrite`` is false.
    """
    sync(part)
    if overwrite:
        part.replace(target)
    else:
        try:
            os.link(part, target)  # unlike a rename it fails where somebody was faster
        except FileExistsError:
            raise BackupFailed(f"{target} is there already") from None
        part.unlink()
    sync(target.parent)


def check_database(path: Path, *, thorough: bool = False) -> None:
    """Read the database through. Raises :class:`BackupFailed` where it is damaged or none at all."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            pragma = "integrity_check(3)" if thorough else "quick_check(3)"
            found = [row[0] for row in connection.execute(f"PRAGMA {pragma}")]
    except sqlite3.Error as error:
        raise BackupFailed(f"{path} cannot be used: {error}") from error
    if found != ["ok"]:
        raise BackupFailed(f"{path} is damaged: {'; '.join(map(str, found))}")


def sync(path: Path) -> None:
    """Return once the file, or the directory, is on disk. Raises :class:`OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def own_as(path: Path, directory: Path) -> None:
    """Give a file that root has made to whoever owns the directory: it is that user's daemon that needs it."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _copy(source: Path, part: Path, progress: Progress | None) -> None:
    def tell(status: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress(total - remaining, total)

    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as origin,
        closing(sqlite3.connect(part, isolation_level=None)) as copy,
    ):
        # without a transaction every commit of another process would start the copy again
        origin.execute("BEGIN")
        origin.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        origin.backup(copy, pages=PAGES_A_STEP, progress=tell)
        # one file is all there is to it: no write-ahead log beside the copy
        copy.execute("PRAGMA journal_mode = DELETE").fetchone()


def _remove(path: Path) -> None:
    for name in (path, path.with_name(path.name + "-journal"), path.with_name(path.name + "-wal")):
        with suppress(FileNotFoundError):
            name.unlink()
