"""Migrations: forward in one transaction, with a backup before, and a crash at any step changes nothing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import connectord_schema
import pytest
from click.testing import CliRunner
from connectord import __version__
from connectord.cli.daemon import main
from connectord.errors import StateDirectoryUnusable, StoreTooNew
from connectord.store import sqlite_migrations
from connectord.store.base import Filters
from connectord.store.sqlite_backup import check_database
from connectord.store.sqlite_migrations import BACKUPS_KEPT, backup_name
from connectord.store.sqlite_reader import SqliteReader
from connectord.store.sqlite_writer import SqliteWriter
from helpers.first_release import FIRST, make_first


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of what 0001 has, with its columns."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        names = ["cases", "actions", "attempts", "history", "late_responses", "outbox", "paused_systems"]
        found = {}
        for name in names:
            columns = ", ".join(COLUMNS[name])
            found[name] = connection.execute(f"SELECT {columns} FROM {name} ORDER BY 1, 2").fetchall()  # noqa: S608
        return found


def columns_of_first() -> dict[str, list[str]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(connectord_schema.read_sql(FIRST))
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for name in tables}


COLUMNS = columns_of_first()


def applied(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return [row[0] for row in connection.execute("SELECT name FROM _sqlite_migrations ORDER BY id")]


def test_a_database_of_the_first_release_comes_along_whole(tmp_path: Path) -> None:
    path = tmp_path / "s" / "connectord.db"
    make_first(path)
    before = content(path)
    assert all(before.values())
    with closing(SqliteWriter(path)) as store:
        assert store.live_counts() == {
            ("s", "pending"): 2, ("s", "attempting"): 1, ("s", "waiting"): 1, ("s", "todo"): 1, ("s", "in_progress"): 1
        }  # fmt: skip
        assert store._all("PRAGMA foreign_key_check") == []
    assert content(path) == before
    check_database(path, thorough=True)
    with closing(SqliteReader(path)) as reader:
        assert len(reader.list_records(Filters(), None, 100)) == 8
    assert applied(path) == list(sqlite_migrations.MIGRATIONS)
    # what was there before lies beside it, as it was
    (kept,) = (tmp_path / "s" / "backups").iterdir()
    assert kept.name.startswith("before-0001-")
    assert (applied(kept), content(kept)) == ([FIRST], before)
    assert kept.stat().st_mode & 0o777 == 0o600
    # and a second start does nothing
    SqliteWriter(path).close()
    assert len(list((tmp_path / "s" / "backups").iterdir())) == 1


CRASHING = """
import os, sys
from pathlib import Path
from sqlite_utils import Database
from connectord.store.sqlite_connection import open_writer
path, last = Path(sys.argv[1]), int(sys.argv[2])
execute, count = Database.execute, 0

def counted(self, sql, *args):
    global count
    result = execute(self, sql, *args)
    if self.conn.in_transaction and sql.lstrip().split()[0] in ("CREATE", "ALTER", "INSERT", "UPDATE", "--"):
        count += 1
        if count == last:
            os.kill(os.getpid(), 9)
    return result

Database.execute = counted
open_writer(path)
print(count)
"""


def test_a_crash_at_any_step_changes_nothing(tmp_path: Path) -> None:
    """SIGKILL after every fifth statement of the migrations, one process each."""
    path = tmp_path / "s" / "connectord.db"
    make_first(path)
    before, step, killed = content(path), 1, 0
    while True:
        process = subprocess.run(
            [sys.executable, "-c", CRASHING, str(path), str(step)], capture_output=True, text=True, check=False
        )
        if process.returncode == 0:
            break
        assert process.returncode == -9, process.stderr
        killed += 1
        assert applied(path) == [FIRST]
        assert content(path) == before
        step += 5
    assert killed >= 5
    assert applied(path) == list(sqlite_migrations.MIGRATIONS)
    assert content(path) == before


def test_an_older_daemon_says_which_one_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SqliteWriter(tmp_path / "connectord.db").close()
    monkeypatch.setattr(sqlite_migrations, "MIGRATIONS", sqlite_migrations.MIGRATIONS[:3])
    words = rf"connectord {__version__} \(it has .*0005_upkeep, .*\).*up to 0003_asking"
    with pytest.raises(StoreTooNew, match=words):
        SqliteWriter(tmp_path / "connectord.db")


def test_a_newer_daemon_that_left_no_version_is_called_newer(tmp_path: Path) -> None:
    path = tmp_path / "connectord.db"
    SqliteWriter(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO _sqlite_migrations VALUES (99, 'connectord', '0099_future.sql', 'now')")
        connection.execute("DROP TABLE migrated_by")
    with pytest.raises(StoreTooNew, match=r"written by a newer connectord \(it has 0099_future\)"):
        SqliteWriter(path)


def test_without_a_backup_of_before_nothing_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "s" / "connectord.db"
    make_first(path)
    (tmp_path / "s" / "backups").write_text("a file in the way")
    with pytest.raises(StateDirectoryUnusable, match="the backup before the migration failed: .*File exists"):
        SqliteWriter(path)
    assert applied(path) == [FIRST]


def test_so_many_backups_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "s" / "connectord.db"
    (tmp_path / "s" / "backups").mkdir(parents=True)
    for number in range(5):
        old = tmp_path / "s" / "backups" / backup_name([FIRST], number)
        old.write_text("old")
        os.utime(old, (number, number))
    (tmp_path / "s" / "backups" / "mine.db").write_text("not ours")
    make_first(path)
    SqliteWriter(path).close()
    names = sorted(each.name for each in (tmp_path / "s" / "backups").iterdir())
    assert len(names) == BACKUPS_KEPT + 1
    assert "mine.db" in names


def test_without_room_for_the_backup_nothing_is_done_unless_it_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s" / "connectord.db"
    make_first(path)
    usage = sqlite_migrations.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(sqlite_migrations.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StateDirectoryUnusable, match="--no-backup"):
        SqliteWriter(path)
    assert applied(path) == [FIRST]
    place = ["--state-directory", str(path.parent)]
    plan = CliRunner().invoke(main, ["migrate", "--plan", *place])
    assert (plan.exit_code, "DOES NOT FIT" in plan.output) == (1, True), plan.output
    done = CliRunner().invoke(main, ["migrate", "--no-backup", *place])
    assert done.exit_code == 0, done.output
    assert applied(path) == list(sqlite_migrations.MIGRATIONS)
    assert not (tmp_path / "s" / "backups").exists()


def test_the_plan_says_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s" / "connectord.db"
    make_first(path)
    place = ["--state-directory", str(path.parent)]
    plan = CliRunner().invoke(main, ["migrate", "--plan", *place])
    assert plan.exit_code == 0, plan.output
    for words in ("6 to apply", "0002_people  People's work", "0005_upkeep", "8 actions", "backup: "):
        assert words in plan.output
    assert applied(path) == [FIRST]
    assert CliRunner().invoke(main, ["migrate", *place]).exit_code == 0
    assert "up to date" in CliRunner().invoke(main, ["migrate", "--plan", *place]).output
