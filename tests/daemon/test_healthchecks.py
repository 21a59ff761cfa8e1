"""Healthchecks: at open, while nothing else tells, and never in the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio
from connectord.adapters import Call, NotConnected, Outcome, Succeeded
from helpers.world import world


async def settle(seconds: float = 1.0) -> None:
    await trio.sleep(seconds)


async def succeed(call: Call) -> Outcome:
    return Succeeded()


class Checks:
    """A healthcheck that notes when it is called; a test says what it does."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.error: BaseException | None = None
        self.seconds = 0.0
        self._began = trio.current_time()

    async def __call__(self) -> None:
        self.at.append(round(trio.current_time() - self._began, 1))
        await trio.sleep(self.seconds)
        if self.error is not None:
            raise self.error


async def test_it_is_called_at_open_and_then_at_the_interval(tmp_path: Path, autojump_clock: object) -> None:
    check = Checks()
    async with world(tmp_path, succeed, healthcheck=check, healthcheck_ms=30_000):
        await settle(100)
        assert check.at == [0, 30, 60, 90]


async def test_it_is_not_called_while_attempts_tell(tmp_path: Path, autojump_clock: object) -> None:
    check = Checks()
    async with world(tmp_path, succeed, healthcheck=check, healthcheck_ms=30_000) as here:
        for _ in range(10):
            await settle(20)
            await here.submit()
        await settle(35)
        assert check.at == [0, 230]


async def test_an_attempt_that_fails_tells_nothing(tmp_path: Path, autojump_clock: object) -> None:
    async def refuse(call: Call) -> Outcome:
        raise NotConnected("refused")

    check = Checks()
    async with world(tmp_path, refuse, healthcheck=check, healthcheck_ms=30_000) as here:
        for _ in range(6):
            await settle(10)
            await here.submit()
        await settle(5)
        assert check.at == [0, 30, 60]


async def test_a_system_out_of_reach_is_shown_and_costs_no_attempt(tmp_path: Path, autojump_clock: object) -> None:
    check = Checks()
    check.error = NotConnected("no route to billing")
    async with world(tmp_path, succeed, healthcheck=check, healthcheck_ms=30_000) as here:
        await settle(5)
        assert (here.lane.health.shown, here.lane.health.last_error) == ("failing", "no route to billing")
        (action_id,) = await here.submit()
        await settle(1)
        assert here.show(action_id).action.attempts == 1
        assert here.lane.health.shown == "ok"
        await settle(40)
        assert here.lane.health.shown == "failing"
        check.error = None
        await settle(30)
        assert here.lane.health.shown == "ok"
        assert len(here.opened) == 1


async def test_a_slow_one_holds_nothing_up_and_is_cut_off(tmp_path: Path, autojump_clock: object) -> None:
    check = Checks()
    check.seconds = 1000.0
    async with world(tmp_path, succeed, healthcheck=check, healthcheck_ms=30_000, concurrency=1) as here:
        await here.submit(5)
        await settle(1)
        assert here.states() == {}
        await settle(100)
        assert here.lane.health.last_error == "no answer within 30 s"
        here.lane.stop()
        await settle(0.1)
        assert len(here.closed) == 1


@pytest.mark.parametrize("fault", [ValueError("broken"), SystemExit(3), KeyboardInterrupt()])
async def test_a_fault_costs_the_check_alone(tmp_path: Path, autojump_clock: object, fault: BaseException) -> None:
    check = Checks()
    check.error = fault
    async with world(tmp_path, succeed, healthcheck=check, healthcheck_ms=30_000) as here:
        await here.submit(3)
        await settle(70)
        told = here.lane.health.last_error or ""
        assert told.startswith(f"adapter fault: {type(fault).__name__}")
        assert f"(adapter programmed, {__file__.rpartition('/tests/')[0]}/tests/helpers/world.py:" in told
        assert len(check.at) == 3
        assert here.states() == {}
        assert len(here.opened) == 1


async def test_off_and_on_again_by_a_reload(tmp_path: Path, autojump_clock: object) -> None:
    check = Checks()
    async with world(tmp_path, succeed, healthcheck=check) as here:
        await settle(100)
        assert check.at == []
        here.lane.reconfigure(replace(here.lane.config, healthcheck_ms=20_000))
        await settle(50)
        assert check.at == [100, 120, 140]
        here.lane.reconfigure(replace(here.lane.config, healthcheck_ms=None))
        await settle(100)
        assert len(check.at) == 3
        assert len(here.opened) == 1
