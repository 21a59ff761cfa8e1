"""The state directory and the database in it."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest
from connectord.errors import StateDirectoryBusy, StateDirectoryUnusable, StoreFailed, StoreFull, StoreTooNew
from connectord.ledger.ids import IdSource
from connectord.store.base import Filters
from connectord.store.sqlite_connection import open_writer, translated
from connectord.store.sqlite_reader import SqliteReader
from connectord.store.sqlite_writer import SqliteWriter
from connectord.store.state_directory import disk_use, hold_state_directory, sync_name


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    directory = tmp_path / "s"
    with hold_state_directory(directory):
        assert directory.stat().st_mode & 0o777 == 0o700
        with pytest.raises(StateDirectoryBusy, match="another connectord"), hold_state_directory(directory):
            pass
    with hold_state_directory(tmp_path / "s"):
        pass


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("")
    with pytest.raises(StateDirectoryUnusable, match=r"daemon\.state_directory"), hold_state_directory(tmp_path / "s"):
        pass


def test_the_database_is_safe_by_its_settings(tmp_path: Path) -> None:
    database = open_writer(tmp_path / "c.db")
    settings = {
        name: database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys", "auto_vacuum", "wal_autocheckpoint")
    }
    assert settings == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "auto_vacuum": 2,
        "wal_autocheckpoint": 16_000,
    }
    assert (tmp_path / "c.db").stat().st_mode & 0o777 == 0o600
    database.close()


def test_a_newer_database_is_refused_by_name(tmp_path: Path) -> None:
    database = open_writer(tmp_path / "c.db")
    database.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('connectord', '0099_future', 'now')"
    )
    database.close()
    with pytest.raises(StoreTooNew, match="0099_future"):
        SqliteWriter(tmp_path / "c.db")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_BUSY, StoreFull),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreFailed),
        (sqlite3.SQLITE_IOERR_WRITE, StoreFailed),
        (sqlite3.SQLITE_CORRUPT, StoreFailed),
    ],
)
def test_errors_are_told_apart(code: int, kind: type[Exception]) -> None:
    error = sqlite3.OperationalError("it went wrong")
    error.sqlite_errorcode = code
    assert type(translated(error)) is kind


def test_the_reader_cannot_write(tmp_path: Path) -> None:
    writer = SqliteWriter(tmp_path / "c.db")
    reader = SqliteReader(tmp_path / "c.db")
    assert reader.list_records(Filters(), None, 10) == []
    with pytest.raises(StoreFailed):
        reader._all("DELETE FROM actions")
    reader.close()
    writer.close()


def test_ids_sort_in_the_order_in_which_they_are_made() -> None:
    import random

    source = IdSource(random.Random(1))
    moments = [1000, 1000, 1001, 999, 500, 2000, 2000]
    ids = [source.make(now) for now in moments]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {len(made) for made in ids} == {26}


def test_a_full_disk_is_told_by_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    with (
        pytest.raises(StateDirectoryUnusable, match="No space left on device; make room"),
        hold_state_directory(tmp_path),
    ):
        pass
    monkeypatch.undo()
    with hold_state_directory(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_the_names_of_new_directories_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, sync = [], os.fsync

    def record(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    with hold_state_directory(tmp_path / "a" / "b"):
        assert set(synced) == {tmp_path / "a", tmp_path}


def test_a_directory_that_may_not_be_read_is_left_to_whoever_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    synced: list[int] = []
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "fsync", synced.append)
    sync_name(tmp_path / "a")
    assert synced == []


def test_what_is_not_there_takes_no_room(tmp_path: Path) -> None:
    use = disk_use(tmp_path)
    assert (use.database, use.log) == (0, 0)
    assert 0 < use.free <= use.size
    SqliteWriter(tmp_path / "connectord.db").close()
    assert disk_use(tmp_path).database == (tmp_path / "connectord.db").stat().st_size


def test_a_directory_in_the_place_of_the_database_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "c.db").mkdir()
    with pytest.raises(StateDirectoryUnusable, match="c.db cannot be opened: .*check its permissions, or restore"):
        open_writer(tmp_path / "c.db")


def test_a_python_with_an_old_sqlite_is_told_which_one_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 32, 3))
    with pytest.raises(StateDirectoryUnusable, match=r"SQLite 3\.33\.0 or newer is needed, and this Python has"):
        open_writer(tmp_path / "connectord.db")
