"""A reader outside the daemon that never ends: the daemon goes on, says so, and the log shrinks once it is done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import structlog.testing
import trio
from connectord.adapters import Call, Outcome
from connectord.errors import StoreFull
from connectord.store.base import FileState
from connectord.store.executors import InlineExecutor
from connectord.store.sqlite_log import other_readers
from connectord.store.sqlite_reader import SqliteReader
from connectord.upkeep import LogWatch
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


async def never(call: Call) -> Outcome:
    await trio.sleep_forever()
    raise AssertionError


async def test_a_reader_that_never_ends_is_named_and_blocks_nobody(tmp_path: Path, autojump_clock: Any) -> None:
    path = tmp_path / "connectord.db"
    async with running_world(tmp_path, never) as world:
        reader = SqliteReader(path)

        async def state() -> FileState:
            return reader.file_state()

        watch = LogWatch(world.ledger, world.clock, path, InlineExecutor(), state, large_bytes=LARGE)
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
            # the writer does not wait for it, and does not try to write back in its commits either
            assert await world.submit(1)
            assert world.ledger._store._value("PRAGMA wal_autocheckpoint") == 0  # type: ignore[attr-defined]
            before = reader.file_state().log_bytes
            assert before > LARGE
            process.communicate(b"\n")
        await watch.look()
        assert watch.held is None
        assert world.ledger._store._value("PRAGMA wal_autocheckpoint") == 16_000  # type: ignore[attr-defined]
        await world.submit(1)
        assert reader.file_state().log_bytes <= before
        reader.close()


async def test_a_full_disk_ends_nothing(tmp_path: Path, autojump_clock: Any) -> None:
    async with running_world(tmp_path, never) as world:
        asked = 0

        async def state() -> FileState:
            nonlocal asked
            asked += 1
            raise StoreFull("no room")

        watch = LogWatch(world.ledger, world.clock, tmp_path / "connectord.db", InlineExecutor(), state)
        with trio.move_on_after(12):
            await watch.run()
        assert asked == 3


def test_a_database_that_is_gone_has_no_readers(tmp_path: Path) -> None:
    assert other_readers(tmp_path / "connectord.db") == []
