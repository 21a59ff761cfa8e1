"""Whether the disk can bear the database: room, inodes, and a file system that keeps what it promises."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from connectord.control import results as r
from connectord.control.verdict import LEAST_FREE_BYTES
from connectord.doctor.findings import error, fine, warning
from connectord.sizes import bytes_text
from connectord.store.state_directory import DATABASE_NAME

CHECK = "disk"

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs", "lustre", "gfs2", "ocfs2", "glusterfs"}
)
_GONE_AT_POWER_OFF = frozenset({"tmpfs", "ramfs"})
_MOST_USED = 0.9


def check_disk(directory: Path) -> Iterator[r.Finding]:
    """The disk of the state directory, or of the nearest directory above it that there is."""
    place = next((each for each in (directory, *directory.parents) if each.exists()), Path("/"))
    try:
        found = os.statvfs(place)
        size = (directory / DATABASE_NAME).stat().st_size if (directory / DATABASE_NAME).exists() else 0
    except OSError as mistake:
        yield error(CHECK, f"{place}: {mistake.strerror}", "mount the disk, and let the daemon's user into it")
        return
    yield _room(place, found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, size)
    # some file systems make inodes as they are needed, and say that there are none
    if found.f_files and found.f_favail < found.f_files * (1 - _MOST_USED) / 2:
        words = f"{found.f_favail} of {found.f_files} inodes are free on the disk of {place}"
        yield warning(CHECK, words, "find the directory with very many files: du --inodes -x /")
    yield _kind(place, file_system_of(place))


def _room(place: Path, free: int, whole: int, size: int) -> r.Finding:
    seen = f"{bytes_text(free)} of {bytes_text(whole)} are free for a database of {bytes_text(size)}"
    if free < LEAST_FREE_BYTES:
        return error(CHECK, seen, f"make room on the disk of {place}: once it is full, nothing is taken any more")
    if free < size:
        return warning(CHECK, seen, "a backup or a migration beside it would not fit: make room")
    if whole and free < whole * (1 - _MOST_USED):
        return warning(CHECK, seen, f"watch the disk of {place}, and make room")
    return fine(CHECK, seen)


def _kind(place: Path, kind: str | None) -> r.Finding:
    if kind is None:
        return fine(CHECK, f"the file system of {place} is not known here")
    bare = kind.removeprefix("fuse.")
    if bare in _NETWORK or bare == "sshfs":
        words = f"{place} lies on a network file system ({kind})"
        return error(CHECK, words, "move daemon.state_directory to a local disk: SQLite's log and locks need one")
    if kind in _GONE_AT_POWER_OFF:
        words = f"{place} lies in memory ({kind}) and is gone when the machine stops"
        return warning(CHECK, words, "move daemon.state_directory to a disk")
    return fine(CHECK, f"the file system is {kind}")


def file_system_of(path: Path, mounts: str | None = None) -> str | None:
    """The type of the file system that ``path`` lies on, as mountinfo(5) has it; None where it cannot be told."""
    try:
        text = _MOUNTS.read_text(encoding="utf-8", errors="replace") if mounts is None else mounts
    except OSError:
        return None
    path = path.resolve()
    best, kind = -1, None
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = Path(fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
        # of two on one place the later one is on top
        if (path == point or point in path.parents) and len(point.parts) >= best:
            best, kind = len(point.parts), after.split()[0]
    return kind
