"""The state directory, and the lock that lets one daemon at a time have it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
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

    Raises :class:`StateDirectoryUnusable`, :class:`StateDirectoryBusy`, and, but where ``restoring`` is true,
    :class:`RestoreUnfinished` where a restore was broken off.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield descriptor
    finally:
        os.close(descriptor)
