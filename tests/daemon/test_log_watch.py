"""The log is written back beside the writer; a reader outside that never ends holds up nobody, and is named."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, cast

import pytest
import structlog.testing
import trio
import trio.testing
from connectord.adapters import Call, Outcome
from connectord.errors import StoreFailed, StoreFull
from connectord.ledger.log_growth import LeaveLog, LogGrowth
from connectord.store.base import FileState
from connectord.store.executors import InlineExecutor
from connectord.store.sqlite_connection import open_checkpointer
from connectord.store.sqlite_log import Checkpoint, LogWriter, other_readers
from connectord.store.sqlite_reader import SqliteReader
from connectord.upkeep import LogWatch, bound_of
from helpers.world import World
from helpers.world import world as running_world

READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM v_actions").fetchall()
print("reading", flush=True)
sys.stdin.readline()
"""
LARGE = 1_000_000
MIB = 2**20


async def never(call: Call) -> Outcome:
    await trio.sleep_forever()
    raise AssertionError


def log_writer(path: Path) -> AbstractContextManager[LogWriter]:
    return closing(LogWriter(path))


def watch_on(world: World, path: Path, writer: LogWriter, **params: Any) -> LogWatch:
    async def state() -> FileState:
        return world.reader.file_state()

    return LogWatch(world.ledger, world.clock, path, InlineExecutor(), state, writer, **params)


async def test_a_reader_that_never_ends_is_named_and_blocks_nobody(tmp_path: Path, autojump_clock: Any) -> None:
    path = tmp_path / "connectord.db"
    async with running_world(tmp_path, never) as world:
        reader, log = SqliteReader(path), LogWriter(path)
        watch = watch_on(world, path, log, large_bytes=LARGE)
        await watch.look()
        assert watch.held is None
        command = [sys.executable, "-c", READER, str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: ASYNC220
            assert process.stdout is not None
            assert process.stdout.readline() == b"reading\n"
            await world.submit(3000, data={"text": "x" * 1000})
            with structlog.testing.capture_logs() as logs:
                await watch.look()
                assert watch.held is not None
                assert any(str(process.pid) in each for each in watch.held.by), watch.held
                assert [entry for entry in logs if entry["log_level"] == "warning"] == []
                await trio.sleep(61)
                await watch.look()
                await watch.look()
            warnings = [entry for entry in logs if entry["log_level"] == "warning"]
            assert len(warnings) == 1
            assert warnings[0]["log_bytes"] > LARGE
            # the writer does not wait for it
            assert await world.submit(1)
            before = reader.file_state().log_bytes
            assert before > LARGE
            process.communicate(b"\n")
        await watch.look()
        assert watch.held is None
        await world.submit(1)
        assert reader.file_state().log_bytes <= before
        log.close()
        reader.close()


async def test_the_log_stays_bounded_under_load(tmp_path: Path, autojump_clock: Any) -> None:
    path = tmp_path / "connectord.db"
    async with running_world(tmp_path, never) as world:
        world.ledger._store.leave_log_to_another(bound_of(0))
        largest = 0
        with log_writer(path) as log:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch_on(world, path, log).run)
                for _ in range(40):
                    await world.submit(80, data={"text": "x" * 5000})
                    largest = max(largest, world.reader.file_state().log_bytes)
                nursery.cancel_scope.cancel()
        assert world.reader.file_state().file_bytes > 4 * bound_of(0)
        assert largest <= bound_of(0)


async def test_the_writer_writes_the_rest_back_and_begins_the_log_anew(tmp_path: Path, autojump_clock: Any) -> None:
    path = tmp_path / "connectord.db"
    async with running_world(tmp_path, never) as world:
        world.ledger._store.leave_log_to_another(bound_of(0))
        with log_writer(path) as log:
            await world.submit(100)
            before = log.write_back()
            # nothing of this is written back, so the log goes on
            await world.submit(100)
            await world.submit(100)
            world.ledger.log_growth.rest_wanted = True
            await world.submit(1)
            assert not world.ledger.log_growth.rest_wanted
            after = log.write_back()
        assert after.generation == before.generation + 2
        assert after.log_bytes < before.log_bytes


@pytest.mark.parametrize(
    ("log", "left", "wanted"),
    [
        (2 * MIB, 0, False),
        (3 * MIB, 4096, True),
        (3 * MIB, MIB, False),
        (5 * MIB, MIB, True),
        (9 * MIB, 8 * MIB, False),
    ],
)
async def test_the_rest_is_wanted_when_the_log_is_large_and_little_is_left(
    tmp_path: Path, autojump_clock: Any, log: int, left: int, wanted: bool
) -> None:
    path = tmp_path / "connectord.db"

    class Scripted(LogWriter):
        def write_back(self) -> Checkpoint:
            return Checkpoint(log, log - left, 1)

    async with running_world(tmp_path, never) as world:
        with closing(Scripted(path)) as writer:
            watch = watch_on(world, path, writer)
            await world.submit(1000)
            await watch.look()
        assert world.ledger.log_growth.rest_wanted is wanted


async def test_no_commit_writes_the_log_back(tmp_path: Path, autojump_clock: Any) -> None:
    path = tmp_path / "connectord.db"
    async with running_world(tmp_path, never) as world:
        world.ledger._store.leave_log_to_another(bound_of(0))
        before = path.stat().st_size
        for _ in range(4):
            await world.submit(400, data={"text": "x" * 4000})
        assert world.reader.file_state().log_bytes > bound_of(0)
        assert path.stat().st_size == before
        assert world.ledger._store._value("PRAGMA wal_autocheckpoint") == 0  # type: ignore[attr-defined]


async def test_it_waits_for_a_dose_whatever_the_rows_are_like(tmp_path: Path, autojump_clock: Any) -> None:
    path = tmp_path / "connectord.db"
    doses: list[int] = []

    class Counting(LogWriter):
        def write_back(self) -> Checkpoint:
            done = super().write_back()
            doses.append(done.log_bytes)
            return done

    async with running_world(tmp_path, never) as world:
        world.ledger._store.leave_log_to_another(bound_of(0))
        with closing(Counting(path)) as log:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch_on(world, path, log).run)
                for size, count in ((10, 200), (10_000, 20)):
                    before = len(doses)
                    for _ in range(count):
                        await world.submit(10, data={"text": "x" * size})
                    # each is of two passes
                    assert before < len(doses) < before + count
                nursery.cancel_scope.cancel()


async def test_a_disk_without_room_for_the_rest_keeps_no_batch_waiting(tmp_path: Path, autojump_clock: Any) -> None:
    async with running_world(tmp_path, never) as world:

        def refuse() -> None:
            raise StoreFull("no room")

        world.ledger._store.write_back_rest = refuse  # type: ignore[method-assign]
        world.ledger.log_growth.rest_wanted = True
        assert await world.submit(1)
        assert not world.ledger.log_growth.rest_wanted


@pytest.mark.parametrize(
    ("file", "log"), [(0, 4), (31 * MIB, 4), (124 * MIB, 8), (128 * MIB, 16), (1500 * MIB, 64), (2**40, 64)]
)
def test_the_log_may_have_an_eighth_of_the_database(file: int, log: int) -> None:
    assert bound_of(file) == log * MIB


class FailingConnection:
    """The connection that writes the log back, on a disk that fails."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.code: int | None = None
        self.tries = 0

    def execute(self, sql: str) -> sqlite3.Cursor:
        if "checkpoint" in sql:
            self.tries += 1
            if self.code is not None:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = self.code
                raise error
        return self._connection.execute(sql)

    def close(self) -> None:
        self._connection.close()


async def test_a_failing_disk_ends_it_and_a_full_one_does_not(tmp_path: Path, autojump_clock: Any) -> None:
    path = tmp_path / "connectord.db"
    async with running_world(tmp_path, never) as world:
        connection = FailingConnection(open_checkpointer(path))
        with closing(LogWriter(path, lambda _: cast("sqlite3.Connection", connection))) as log:
            watch = watch_on(world, path, log)
            connection.code = sqlite3.SQLITE_FULL
            with trio.move_on_after(30):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(watch.run)
                    for _ in range(3):
                        await world.submit(1000, data={"text": "x" * 1000})
                        await trio.sleep(1)
                    await trio.sleep_forever()
            # it is tried again, but not on and on
            assert 2 <= connection.tries <= 10
            connection.code = None
            await world.submit(2000)
            await watch.look()
            assert path.stat().st_size > MIB
            connection.code = sqlite3.SQLITE_IOERR_FSYNC
            await world.submit(2000)
            with pytest.raises(StoreFailed):
                await watch.run()


async def test_a_full_disk_ends_nothing(tmp_path: Path, autojump_clock: Any) -> None:
    async with running_world(tmp_path, never) as world:
        asked = 0

        async def state() -> FileState:
            nonlocal asked
            asked += 1
            raise StoreFull("no room")

        path = tmp_path / "connectord.db"
        with log_writer(path) as log:
            watch = LogWatch(world.ledger, world.clock, path, InlineExecutor(), state, log)
            with trio.move_on_after(12):
                await watch.run()
        assert asked == 3


def test_a_database_that_is_gone_has_no_readers(tmp_path: Path) -> None:
    assert other_readers(tmp_path / "connectord.db") == []


async def test_who_waits_for_more_rows_hears_of_them_when_they_are_written(autojump_clock: Any) -> None:
    growth = LogGrowth(100)
    heard: list[int] = []

    async def wait(rows: int) -> None:
        await growth.by(rows, since=100)
        heard.append(growth.rows)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, 10)
        await trio.testing.wait_all_tasks_blocked()
        growth.note(109)
        await trio.testing.wait_all_tasks_blocked()
        assert heard == []
        growth.note(110)
    assert heard == [110]
    with trio.fail_after(1):
        await growth.by(5, since=100)  # they are there already


async def test_the_bound_of_the_log_follows_the_database_while_the_writer_works(
    tmp_path: Path, autojump_clock: Any
) -> None:
    async with running_world(tmp_path, never) as world:
        connection = world.ledger._store._connection
        await world.ledger.perform(LeaveLog(3 * MIB))
        assert connection.execute("PRAGMA journal_size_limit").fetchone() == (3 * MIB,)
        await world.submit()
        await world.ledger.perform(LeaveLog(5 * MIB))
        assert connection.execute("PRAGMA journal_size_limit").fetchone() == (5 * MIB,)
