"""The state directory, and the lock that lets one daemon at a time have it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from connectord.errors import RestoreUnfinished, StateDirectoryBusy, StateDirectoryUnusable

LOCK_NAME = "lock"
DATABASE_NAME = "connectord.db"
TOKEN_KEY_NAME = "callback.key"  # noqa: S105  - a file name
RESTORING_NAME = "restoring"
"""Stands there while a restore is under way, and says where the files of before are kept."""


@contextmanager
def hold_state_directory(directory: Path, *, restoring: bool = False) -> Iterator[int]:
    """Create the directory if need be (mode 0700), lock it, and hold it until the block ends.

    What comes is the lock's file descriptor: whoever holds a copy of it holds the lock.

    The lock is the kernel's (flock): it is gone with the process, however that ended, so recovery at start needs
    no timers.

    A directory that is new is on disk for good when this begins to hold: a power loss that took its name would take
    everything that was acknowledged in it.

    Raises :class:`StateDirectoryUnusable`, :class:`StateDirectoryBusy`, and, but where ``restoring`` is true,
    :class:`RestoreUnfinished` where a restore was broken off.
    """
    try:
        fresh = [each for each in directory.parents if not each.exists()]
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # also where it was there: whoever made it may have died before its name was on disk
        for made in (directory, *fresh):
            sync_name(made)
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateDirectoryUnusable(
            f"the state directory {directory} cannot be used: {error.strerror}; "
            "set daemon.state_directory to one that this user may write"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise StateDirectoryBusy(
                f"another connectord (process {holder}) uses the state directory {directory}; "
                "stop that one, or give this one another daemon.state_directory"
            ) from error
        if not restoring and (directory / RESTORING_NAME).exists():
            aside = (directory / RESTORING_NAME).read_text(encoding="utf-8").strip()
            raise RestoreUnfinished(
                f"a restore in the state directory {directory} was broken off: give the same `connectord restore` "
                f"again; the files of before it are in {directory / aside}"
            )
        _write_holder(directory, descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Bytes of the database and its log, and what is free and there in all on their file system."""

    database: int
    log: int
    free: int
    size: int


def disk_use(directory: Path) -> DiskUse:
    """What the store in ``directory`` takes, and what is left for it; ``free`` is what anybody but root may have."""
    system = os.statvfs(directory)
    database = directory / DATABASE_NAME
    return DiskUse(
        _size(database),
        _size(database.with_name(f"{DATABASE_NAME}-wal")),
        system.f_bavail * system.f_frsize,
        system.f_blocks * system.f_frsize,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _write_holder(directory: Path, lock: int) -> None:
    holder = f"{os.getpid()}\n".encode("ascii")
    try:
        # in this order a full disk is enough: what is there is written over, and nothing is given away before
        os.pwrite(lock, holder, 0)
        os.ftruncate(lock, len(holder))
    except OSError as error:
        raise StateDirectoryUnusable(
            f"the state directory {directory} cannot be written: {error.strerror}; make room, and start again"
        ) from error


def sync_name(path: Path) -> None:
    """Put on disk for good that there is a file or directory of that name. Raises :class:`OSError`.

    Where this user may not read the directory that it lies in, somebody else made it, and nothing is done.
    """
    try:
        descriptor = os.open(path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
