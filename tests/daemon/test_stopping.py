"""What is asked of a daemon that is on its way out."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
import trio
import trio.testing
from connectord.adapters import Call, Outcome, Succeeded
from helpers.simulated_daemon import simulated_daemon, write_configuration

ONE = '[systems.one]\nadapter = "simulated"\n'
TWO = ONE + '[systems.two]\nadapter = "simulated"\n'


def succeed(call: Call) -> Outcome:
    return Succeeded()


@pytest.mark.parametrize("now", [False, True])
async def test_a_reload_that_adds_a_system_is_taken_while_the_daemon_stops(
    tmp_path: Path, autojump_clock: object, now: bool
) -> None:
    async with simulated_daemon(tmp_path, ONE, succeed) as here:
        await here.call("submit", system="one")
        await trio.sleep(0.1)  # an attempt is under way
        write_configuration(tmp_path, TWO)
        with structlog.testing.capture_logs() as logs:
            await here.call("shutdown", now=now)
            await trio.lowlevel.checkpoint()
            assert (await here.call("reload"))["applied"]
            while not any(each["event"] == "stopping" for each in logs):
                await trio.sleep(0.01)
        # it is in force at the next start, and no lane began
        assert set(here.daemon.lanes) == {"one", "two"}
        assert here.daemon.lanes["two"].in_flight == 0


async def test_whoever_asks_again_does_not_wait_for_the_drain(tmp_path: Path, autojump_clock: object) -> None:
    async with simulated_daemon(tmp_path, ONE, succeed) as here:
        await here.call("submit", system="one")
        await trio.sleep(0.1)
        began = trio.current_time()
        await here.call("shutdown")
        await here.call("shutdown")
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() - began < 0.01
