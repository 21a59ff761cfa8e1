"""Putting a backup in the place of the database, with the old files kept aside."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from connectord.errors import BackupFailed
from connectord.store.sqlite_backup import check_database, copy_database, own_as, put_in_place, sync
from connectord.store.sqlite_connection import open_reader
from connectord.store.sqlite_migrations import has_table, plan_migration
from connectord.store.state_directory import DATABASE_NAME, RESTORING_NAME, TOKEN_KEY_NAME

_KEY_BYTES = 32
_LOG_NAMES = (f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm")


@dataclass(frozen=True, slots=True)
class BackupContents:
    """What is in a backup, as far as it matters to whoever restores it; times are milliseconds.

    ``newest_at`` is when the last thing happened that is in it. ``has_key`` is whether the key of the callback
    addresses lies beside it. ``migrations`` are those that the next start would apply.
    """

    newest_at: int | None
    has_key: bool
    migrations: tuple[str, ...]
    counts: dict[str, int]
    due: int
    overdue: int
    undelivered: int
    open_attempts: int


def key_beside(backup: Path) -> Path:
    """Where the key of a backup lies, if it was taken with it."""
    return backup.with_name(f"{backup.name}.key")


def look_into(backup: Path, now: int) -> BackupContents:
    """Check a backup thoroughly, and say what is in it.

    Raises :class:`BackupFailed` where it is damaged or not connectord's, and :class:`connectord.errors.StoreTooNew`.
    """
    if not backup.is_file():
        raise BackupFailed(f"there is no file {backup}")
    _check_key(key_beside(backup))
    check_database(backup, thorough=True)
    with closing(open_reader(backup.absolute())) as connection:
        if not has_table(connection, "actions"):
            raise BackupFailed(f"{backup} is a database, but not connectord's: it has no actions")
        plan = plan_migration(connection, backup.absolute())

        def value(sql: str, *args: int) -> int:
            return int(connection.execute(sql, args).fetchone()[0] or 0)

        try:
            return BackupContents(
                newest_at=value("SELECT max(at) FROM (SELECT at FROM history ORDER BY seq DESC LIMIT 1)") or None,
                has_key=key_beside(backup).is_file(),
                migrations=tuple(name for name, _ in plan.pending),
                counts=dict(connection.execute("SELECT state, count(*) FROM actions GROUP BY state").fetchall()),
                due=value("SELECT count(*) FROM actions WHERE state = 'pending' AND due_at <= ?", now),
                overdue=value("SELECT count(*) FROM actions WHERE state = 'waiting' AND deadline <= ?", now),
                undelivered=value("SELECT count(*) FROM outbox WHERE delivered_at IS NULL"),
                open_attempts=value("SELECT count(*) FROM attempts WHERE ended_at IS NULL"),
            )
        except sqlite3.Error as error:
            raise BackupFailed(f"{backup} cannot be used: {error}") from error


def restore(backup: Path, directory: Path) -> Path | None:
    """Put ``backup``, which :func:`look_into` has found good, in the place of the database in ``directory``.

    The caller holds the directory's lock. The old files are kept in a directory of their own, which is what comes; None
    where there were none. Broken off at any point, it leaves a mark, by which a daemon refuses to start; the same again
    finishes it. Raises :class:`BackupFailed`.
    """
    database, mark = directory / DATABASE_NAME, directory / RESTORING_NAME
    fresh = directory / f"{DATABASE_NAME}.restored"
    try:
        copy_database(backup, fresh, overwrite=True)
        aside = _aside(directory, mark)
        if aside is not None:
            _keep(directory, aside, (DATABASE_NAME, *_LOG_NAMES, TOKEN_KEY_NAME))
        # from here on the log of the old database must not meet the new one
        for name in _LOG_NAMES:
            (directory / name).unlink(missing_ok=True)
        own_as(fresh, directory)
        put_in_place(fresh, database, overwrite=True)
        if key_beside(backup).is_file():
            _restore_key(key_beside(backup), directory / TOKEN_KEY_NAME)
        mark.unlink(missing_ok=True)
        sync(directory)
    except OSError as error:
        raise BackupFailed(f"{backup} could not be restored: {error}; give the same command again") from error
    return aside


def save_key(directory: Path, backup: Path, *, overwrite: bool) -> Path:
    """Put a copy of the key of the callback addresses beside a backup, mode 0600; where it lies.

    Raises :class:`BackupFailed`.
    """
    key, target = directory / TOKEN_KEY_NAME, key_beside(backup)
    part = target.with_name(f".{target.name}.part")
    try:
        _copy_private(key, part)
        put_in_place(part, target, overwrite=overwrite)
    except OSError as error:
        raise BackupFailed(f"the key {key} could not be copied to {target}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _aside(directory: Path, mark: Path) -> Path | None:
    """Where the old files are to be kept; the place that was begun, where a restore was broken off."""
    if mark.exists():
        name = mark.read_text(encoding="utf-8").strip()
        return directory / name if name else None
    if not (directory / DATABASE_NAME).exists() and not (directory / TOKEN_KEY_NAME).exists():
        return None
    aside = directory / time.strftime("before-restore-%Y%m%dT%H%M%SZ", time.gmtime())
    aside.mkdir(mode=0o700, exist_ok=True)
    own_as(aside, directory)
    mark.write_text(f"{aside.name}\n", encoding="utf-8")
    sync(mark)
    sync(directory)
    return aside


def _keep(directory: Path, aside: Path, names: Sequence[str]) -> None:
    """Give every file a second name in ``aside``: nothing is moved away before it has it."""
    for name in names:
        kept = aside / name
        if (directory / name).exists() and not kept.exists():
            kept.hardlink_to(directory / name)
    sync(aside)


def _check_key(key: Path) -> None:
    if key.exists() and key.stat().st_size != _KEY_BYTES:
        raise BackupFailed(f"{key} is no key of callback addresses: it must have {_KEY_BYTES} bytes")


def _restore_key(key: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.part")
    _copy_private(key, part)
    own_as(part, target.parent)
    put_in_place(part, target, overwrite=True)


def _copy_private(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    target.touch(mode=0o600, exist_ok=False)
    shutil.copyfile(source, target)
