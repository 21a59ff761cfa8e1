"""Backup and restore: whole, as of one commit, never instead of something, never half."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from connectord.cli.daemon import main
from connectord.errors import BackupFailed, RestoreUnfinished
from connectord.lifecycle.action import Action
from connectord.store import restoration, sqlite_backup
from connectord.store.base import HistoryRow, NewAction, WriteSet
from connectord.store.restoration import key_beside, look_into, restore, save_key
from connectord.store.sqlite_backup import check_database, copy_database, own_as
from connectord.store.sqlite_writer import SqliteWriter
from connectord.store.state_directory import RESTORING_NAME, hold_state_directory

NOW = 1_764_000_000_000


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A state directory with one pending action in it."""
    state = tmp_path / "state"
    state.mkdir()
    with closing(SqliteWriter(state / "connectord.db")) as store:
        add(store, "01A", 1)
    (state / "callback.key").write_bytes(b"k" * 32)
    (state / "callback.key").chmod(0o600)
    return state


def add(store: SqliteWriter, action_id: str, seq: int) -> None:
    row = HistoryRow(seq, action_id, NOW, None, "pending", "Submitted", "17", "submitted", "test", None)
    store.write(WriteSet(inserted=[NewAction(Action(action_id, "sys", NOW, due_at=NOW), "{}")], history=[row]))


def ids_in(database: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM actions ORDER BY id")]


def connectord(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_a_backup_has_one_commit_however_much_is_written_meanwhile(directory: Path, tmp_path: Path) -> None:
    path = directory / "connectord.db"
    with closing(SqliteWriter(path)) as store:
        store._connection.execute("CREATE TABLE ballast (data BLOB)")
        store._connection.execute("INSERT INTO ballast VALUES (zeroblob(20000000))")
        counted: list[int] = []

        def write_on(done: int, total: int) -> None:
            # the writer goes on between the steps, and a third of it is in transactions of two rows
            number = len(counted) * 2 + 10
            store.begin()
            add(store, f"02{number}", number)
            add(store, f"02{number + 1}", number + 1)
            store.commit()
            counted.append(done)

        copy_database(path, tmp_path / "b.db", progress=write_on)
        assert len(counted) > 3
        assert ids_in(tmp_path / "b.db") == ["01A"]
        assert len(ids_in(path)) == 1 + 2 * len(counted)
    assert (tmp_path / "b.db").stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["b.db", "state"]


def test_a_backup_replaces_nothing_unless_it_is_told_to(directory: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.db"
    target.write_text("precious")
    refused = connectord("backup", target, "--state-directory", directory)
    assert (refused.exit_code, target.read_text()) == (1, "precious")
    assert "--force" in refused.output
    assert connectord("backup", target, "--force", "--state-directory", directory).exit_code == 0
    assert ids_in(target) == ["01A"]


def test_a_backup_that_breaks_off_leaves_nothing(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sqlite_backup, "sync", full)
    with pytest.raises(BackupFailed, match="No space left"):
        copy_database(directory / "connectord.db", tmp_path / "b.db")
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


def test_a_database_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed):
        copy_database(tmp_path / "no.db", tmp_path / "b.db")
    assert list(tmp_path.iterdir()) == []
    assert connectord("backup", tmp_path / "b.db", "--state-directory", tmp_path).exit_code == 1


def test_what_was_done_after_the_backup_is_gone_and_kept_aside(directory: Path, tmp_path: Path) -> None:
    backup = tmp_path / "b.db"
    made = connectord("backup", backup, "--with-key", "--state-directory", directory)
    assert made.exit_code == 0, made.output
    assert key_beside(backup).read_bytes() == b"k" * 32
    assert key_beside(backup).stat().st_mode & 0o777 == 0o600
    with closing(SqliteWriter(directory / "connectord.db")) as store:
        add(store, "01B", 2)
    (directory / "callback.key").unlink()
    (directory / "callback.key").write_bytes(b"n" * 32)

    plan = connectord("restore", backup, "--plan", "--state-directory", directory)
    assert plan.exit_code == 0
    assert "1, of which 1 are due" in plan.output
    assert ids_in(directory / "connectord.db") == ["01A", "01B"]

    done = connectord("restore", backup, "--state-directory", directory)
    assert done.exit_code == 0, done.output
    assert ids_in(directory / "connectord.db") == ["01A"]
    assert (directory / "callback.key").read_bytes() == b"k" * 32
    aside = next(directory.glob("before-restore-*"))
    assert str(aside) in done.output
    assert ids_in(aside / "connectord.db") == ["01A", "01B"]
    assert (aside / "callback.key").read_bytes() == b"n" * 32
    with closing(SqliteWriter(directory / "connectord.db")) as store:
        assert store.last_seq() == 1


def test_a_running_daemon_keeps_its_files(directory: Path, tmp_path: Path) -> None:
    backup = tmp_path / "b.db"
    copy_database(directory / "connectord.db", backup)
    with hold_state_directory(directory):
        refused = connectord("restore", backup, "--state-directory", directory)
        assert connectord("migrate", "--state-directory", directory).exit_code == 0  # nothing to do needs no lock
        assert connectord("vacuum", "--state-directory", directory).exit_code == 1
    assert refused.exit_code == 1
    assert "another connectord" in refused.output
    assert list(directory.glob("before-restore-*")) == []


@pytest.mark.parametrize("damage", ["cut", "scribbled", "empty", "text", "foreign", "missing", "newer", "key"])
def test_what_is_no_sound_backup_is_refused_and_changes_nothing(directory: Path, tmp_path: Path, damage: str) -> None:
    backup = tmp_path / "b.db"
    copy_database(directory / "connectord.db", backup)
    content = bytearray(backup.read_bytes())
    match damage:
        case "cut":
            backup.write_bytes(content[: len(content) // 2])
        case "scribbled":
            content[8192:12288] = os.urandom(4096)
            backup.write_bytes(content)
        case "empty":
            backup.write_bytes(b"")
        case "text":
            backup.write_text("this is no database, however long it is" * 100)
        case "missing":
            backup.unlink()
        case "foreign":
            backup.unlink()
            with closing(sqlite3.connect(backup)) as connection:
                connection.execute("CREATE TABLE t (x)")
        case "newer":
            with closing(sqlite3.connect(backup, isolation_level=None)) as connection:
                connection.execute("INSERT INTO _sqlite_migrations VALUES (99, 'connectord', '0099_future.sql', 'now')")
                connection.execute("INSERT INTO migrated_by VALUES ('0099_future.sql', '9.9.9')")
        case "key":
            key_beside(backup).write_bytes(b"short")
    before = (directory / "connectord.db").read_bytes()
    refused = connectord("restore", backup, "--state-directory", directory)
    assert refused.exit_code == 1, refused.output
    assert not isinstance(refused.exception, Exception) or isinstance(refused.exception, SystemExit)
    assert (directory / "connectord.db").read_bytes() == before
    assert not (directory / RESTORING_NAME).exists()
    if damage == "newer":
        assert "connectord 9.9.9" in refused.output


def test_a_restore_that_breaks_off_at_any_step_is_noticed_and_can_be_finished(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = tmp_path / "b.db"
    copy_database(directory / "connectord.db", backup)
    key_beside(backup).write_bytes(b"b" * 32)
    with closing(SqliteWriter(directory / "connectord.db")) as store:
        add(store, "01B", 2)
    pristine = {each.name: each.read_bytes() for each in directory.iterdir()}

    class Died(BaseException):
        pass

    steps: list[str] = []
    stop_at = 0

    def mortal(name: str) -> None:
        # every change of a name is a place to die at
        change = getattr(os, name)

        def change_or_die(*args: object, **kwargs: object) -> object:
            if watching:
                steps.append(name)
                if len(steps) == stop_at:
                    raise Died
            return change(*args, **kwargs)

        monkeypatch.setattr(os, name, change_or_die)

    watching = False
    for name in ("replace", "unlink", "link", "mkdir"):
        mortal(name)
    finished = False
    while not finished:
        stop_at += 1
        for each in directory.glob("before-restore-*"):
            for kept in each.iterdir():
                kept.unlink()
            each.rmdir()
        for each in directory.iterdir():
            each.unlink()
        for kept_name, content in pristine.items():
            (directory / kept_name).write_bytes(content)
        steps.clear()
        watching = True
        try:
            restore(backup, directory)
            finished = True
        except Died:
            pass
        watching = False
        if finished:
            break
        if (directory / RESTORING_NAME).exists():
            with pytest.raises(RestoreUnfinished, match="broken off"), hold_state_directory(directory):
                pass
        else:
            # not begun, or all done: a whole database either way
            assert ids_in(directory / "connectord.db") in (["01A"], ["01A", "01B"])
        aside = restore(backup, directory)
        assert ids_in(directory / "connectord.db") == ["01A"]
        assert (directory / "callback.key").read_bytes() == b"b" * 32
        assert aside is not None
        with hold_state_directory(directory):
            check_database(directory / "connectord.db")
        assert any(ids_in(each / "connectord.db") == ["01A", "01B"] for each in directory.glob("before-restore-*"))
    assert stop_at > 6


def test_a_restore_where_nothing_was_keeps_nothing_aside(directory: Path, tmp_path: Path) -> None:
    backup, fresh = tmp_path / "b.db", tmp_path / "fresh"
    copy_database(directory / "connectord.db", backup)
    fresh.mkdir()
    assert restore(backup, fresh) is None
    assert ids_in(fresh / "connectord.db") == ["01A"]
    # the backup had no key with it, and none was made up
    assert sorted(each.name for each in fresh.iterdir()) == ["connectord.db"]


def test_a_restore_that_the_disk_refuses_says_what_to_do(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = tmp_path / "b.db"
    copy_database(directory / "connectord.db", backup)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(restoration, "put_in_place", full)
    with pytest.raises(BackupFailed, match="No space left on device; give the same command again"):
        restore(backup, directory)
    monkeypatch.undo()
    assert restore(backup, directory) is not None
    assert ids_in(directory / "connectord.db") == ["01A"]


def test_a_backup_with_a_damaged_table_is_refused(directory: Path, tmp_path: Path) -> None:
    backup = tmp_path / "b.db"
    copy_database(directory / "connectord.db", backup)
    with closing(sqlite3.connect(backup, isolation_level=None)) as connection:
        connection.execute("DROP VIEW IF EXISTS v_actions")
        connection.execute("ALTER TABLE outbox RENAME TO elsewhere")
    with pytest.raises(BackupFailed, match="cannot be used: no such table: outbox"):
        look_into(backup, NOW)


def test_a_key_that_cannot_be_copied_leaves_nothing_half(directory: Path, tmp_path: Path) -> None:
    (directory / "callback.key").unlink()
    with pytest.raises(BackupFailed, match="callback.key could not be copied to .*: No such file"):
        save_key(directory, tmp_path / "b.db", overwrite=False)
    assert [each.name for each in tmp_path.iterdir()] == ["state"]


def test_who_was_faster_keeps_the_name(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "b.db"

    def somebody(path: Path) -> None:
        target.write_text("precious")

    # between the look whether there is such a file and the moment it gets its name
    monkeypatch.setattr(sqlite_backup, "check_database", somebody)
    with pytest.raises(BackupFailed, match="is there already"):
        copy_database(directory / "connectord.db", target)
    assert target.read_text() == "precious"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["b.db", "state"]


def test_damage_that_sqlite_can_read_past_is_found(directory: Path) -> None:
    path = directory / "connectord.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # an index that does not have what its table has
        connection.execute("CREATE TABLE t (x, y)")
        connection.execute("CREATE INDEX t_x ON t (x)")
        connection.execute("INSERT INTO t VALUES (1, 2)")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = 'CREATE INDEX t_x ON t (y)' WHERE name = 't_x'")
    with pytest.raises(BackupFailed, match="is damaged: "):
        check_database(path, thorough=True)


@pytest.mark.parametrize("user", [0, 1000])
def test_only_root_gives_away_what_it_has_made(directory: Path, user: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[object, ...]] = []
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "chown", lambda *to: given.append(to))
    own_as(directory / "connectord.db", directory)
    owner = directory.stat()
    assert given == ([(directory / "connectord.db", owner.st_uid, owner.st_gid)] if user == 0 else [])


def test_vacuum_makes_the_file_small(directory: Path) -> None:
    path = directory / "connectord.db"
    with closing(SqliteWriter(path)) as store:
        store._connection.execute("CREATE TABLE ballast (data BLOB)")
        store._connection.execute("INSERT INTO ballast VALUES (zeroblob(5000000))")
        store._connection.execute("DELETE FROM ballast")
    before = path.stat().st_size
    done = connectord("vacuum", "--state-directory", directory)
    assert done.exit_code == 0, done.output
    assert path.stat().st_size < before / 5
    assert ids_in(path) == ["01A"]
