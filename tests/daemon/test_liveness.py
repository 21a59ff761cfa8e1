"""The watchdog is fed while the writer and every lane answer, and not longer; who does not answer is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import trio
from connectord import systemd
from connectord.adapters import Call, Outcome, Succeeded
from connectord.errors import StoreFull
from connectord.lifecycle import events as on
from connectord.liveness import feed_watchdog, find_silent
from helpers.world import World, world


async def succeed(call: Call) -> Outcome:
    return Succeeded()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the service manager was told."""
    said: list[str] = []
    monkeypatch.setattr(systemd, "notify", said.append)
    monkeypatch.setattr(systemd, "notify_status", said.append)
    return said


async def feed(here: World, seconds: float) -> None:
    with trio.move_on_after(seconds):
        await feed_watchdog(3.0, here.ledger, lambda: [here.lane])


async def test_it_is_fed_three_times_within_its_time(tmp_path: Path, told: list[str], autojump_clock: object) -> None:
    async with world(tmp_path, succeed) as here:
        await feed(here, 5.5)
    assert told == ["WATCHDOG=1"] * 6


async def test_a_writer_that_hangs_is_named_and_feeds_nothing_until_it_answers(
    tmp_path: Path, told: list[str], autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        executor, hangs = here.ledger._executor, True

        async def run(function: Any, batch: Sequence[Any]) -> Any:
            while hangs:
                await trio.sleep(0.1)
            return await executor.run(function, batch)

        monkeypatch.setattr(here.ledger, "_executor", type("Hanging", (), {"run": staticmethod(run)})())
        with structlog.testing.capture_logs() as logs:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(feed, here, 4.5)
                await trio.sleep(2.9)
                hangs, meanwhile = False, list(told)
        assert meanwhile == ["no answer from the ledger's writer; the watchdog is not fed"] * 3
        assert told[3:] == ["all answer again", "WATCHDOG=1", "WATCHDOG=1"]
        silent = [entry["silent"] for entry in logs if entry["log_level"] == "critical"]
        assert silent == [["the ledger's writer"]] * 3


async def test_a_lane_that_does_not_come_round_is_named(
    tmp_path: Path, told: list[str], autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, succeed) as here:

        async def hang(*_: object, **__: object) -> None:
            await trio.sleep_forever()

        monkeypatch.setattr(here.ledger, "claim", hang)
        await trio.testing.wait_all_tasks_blocked()
        assert await find_silent(1.0, here.ledger, lambda: [here.lane]) == ["the lane sys"]
        assert await find_silent(1.0, here.ledger, list) == []
        # one that is to stop has an end of its own
        here.lane.stop()
        assert not here.lane.is_silent


async def test_lanes_that_wait_for_room_on_the_disk_are_well(
    tmp_path: Path, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path, succeed) as here:
        here.lane.set_paused(True)
        (action_id,) = await here.submit()
        begin, full = here.ledger._store.begin, True

        def refuse() -> None:
            if full:
                raise StoreFull("no room")
            begin()

        monkeypatch.setattr(here.ledger._store, "begin", refuse)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.ledger.report, action_id, on.SuccessReceived("d"), "system:sys")
            await trio.testing.wait_all_tasks_blocked()
            assert await find_silent(0.5, here.ledger, lambda: [here.lane]) == []
            full = False
        assert here.show(action_id).action.state.value == "closed"
