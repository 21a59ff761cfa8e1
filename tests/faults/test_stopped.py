"""The process is stopped for a while (SIGSTOP), as a debugger, a freezer or a hypervisor does it."""

from __future__ import annotations

import random
import signal

import trio
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from helpers.load import Load
from helpers.ports import lasting_port
from helpers.proofs import size

SECONDS = size("STOPPED_SECONDS", 5)


async def test_callbacks_and_deadlines_that_come_while_it_is_stopped(daemon: DaemonProcess, fake: FakeSystem) -> None:
    load = Load(daemon, fake, lasting_port(), random.Random(1), timeout="2s")
    load.configure(3)
    await daemon.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run)
        with trio.fail_after(120):
            while len(load.acknowledged) < 15:
                await trio.sleep(0.02)
        overdue = await load.submit({"play": "silent"})
        in_time = await load.submit({"play": "late", "seconds": 1.0})
        for action in (overdue, in_time):
            await daemon.until(action["id"], "waiting", "closed")
        daemon.signal(signal.SIGSTOP)
        await trio.sleep(SECONDS)
        daemon.signal(signal.SIGCONT)
        late = await daemon.until(overdue["id"], "todo", seconds=60)
        assert (late["reason"], late["attempts"]) == ("timeout", 1)
        # its callback was at the door before the deadline was looked at, or it came late: then it is shown (rule 15)
        answered = await daemon.until(in_time["id"], "todo", "closed", seconds=60)
        assert answered["state"] == "closed" or answered["reason"] == "timeout"
        assert (await load.submit({"play": "answer"}))["id"] > overdue["id"]
        load.stopping = True
    await load.settle()
    assert await daemon.stop() == 0
    assert load.compare(daemon.directory / "state" / "connectord.db").problems == []
