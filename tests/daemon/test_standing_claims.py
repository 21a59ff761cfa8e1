"""What is submitted to a lane with free places is claimed in the same transaction, and never what may not begin."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from connectord.adapters import Call, Outcome, Taken
from connectord.config import Rate
from connectord.errors import StoreFull
from connectord.store.sqlite_writer import SqliteWriter
from helpers.world import world


async def take(call: Call) -> Outcome:
    return Taken()


async def stay(call: Call) -> Outcome:
    await trio.sleep(100)
    return Taken()


async def test_rule_14_submission_and_attempt_are_one_commit(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, stay) as here:
        for _ in range(3):
            await trio.sleep(1)
            commits, calls = here.ledger.commits, len(here.calls)
            (action_id,) = await here.submit()
            # acknowledged once both are on disk, and nothing has left before
            assert here.ledger.commits == commits + 1
            assert len(here.calls) == calls
            assert here.show(action_id).action.state.value == "attempting"
            assert len(here.reader.attempts(action_id)) == 1
            assert [row.to_state for row in here.reader.history(action_id)] == ["pending", "attempting"]
        await trio.sleep(1)
        assert len(here.calls) == 3


async def test_no_more_begins_than_there_are_places(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, stay, concurrency=3) as here:
        await trio.sleep(1)
        await here.submit()
        assert here.states() == {"attempting": 1}
        await here.submit(5)
        await trio.sleep(1)
        assert here.states() == {"attempting": 3, "pending": 3}
        assert len(here.calls) == 3
        await trio.sleep(200)
        assert here.states() == {"waiting": 6}


async def test_the_rate_is_respected(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take, rate=Rate(2, 10_000)) as here:
        await trio.sleep(1)
        for _ in range(6):
            await here.submit()
        await trio.sleep(5)
        assert len(here.calls) == 2
        await trio.sleep(30)
        first = here.calls[0][0]
        assert [round(at - first) for at, _ in here.calls] == [0, 0, 10, 10, 20, 20]


async def test_a_paused_lane_takes_and_begins_nothing(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take) as here:
        await trio.sleep(1)
        here.lane.set_paused(True)
        await here.submit()  # before the lane has come round
        await here.submit()
        await trio.sleep(5)
        assert here.states() == {"pending": 2}
        here.lane.set_paused(False)
        await trio.sleep(5)
        assert here.states() == {"waiting": 2}


async def test_what_is_due_later_is_not_claimed_and_not_forgotten(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take) as here:
        await trio.sleep(1)
        await here.submit(due_at=here.clock.now_ms() + 50_000)
        await here.submit()
        await trio.sleep(1)
        assert here.states() == {"pending": 1, "waiting": 1}
        await trio.sleep(50)
        assert here.states() == {"waiting": 2}


async def test_a_lane_that_stops_meanwhile_begins_what_was_claimed(tmp_path: Path, autojump_clock: object) -> None:
    async with world(tmp_path, take) as here:
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.submit)
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            here.lane.stop()
        await trio.sleep(1)
        assert here.states() in ({"waiting": 1}, {"pending": 1})
        assert len(here.calls) == here.states().get("waiting", 0)


async def test_a_full_disk_gives_the_places_back(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(store: SqliteWriter) -> None:
        raise StoreFull("no room")

    async with world(tmp_path, take, concurrency=1) as here:
        await trio.sleep(1)
        with monkeypatch.context() as patch:
            patch.setattr(SqliteWriter, "commit", full)
            with pytest.raises(StoreFull):
                await here.submit()
        assert here.states() == {}
        await trio.sleep(5)
        await here.submit()
        await trio.sleep(1)
        assert here.states() == {"waiting": 1}
        assert len(here.calls) == 1
