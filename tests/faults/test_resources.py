"""Too few file descriptors, and too little memory."""

from __future__ import annotations

import random
import resource
import socket
from contextlib import ExitStack

import httpx
import pytest
import trio
from connectord.errors import DaemonUnreachable, RequestFailed
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from helpers.load import Load
from helpers.ports import lasting_port
from helpers.programs import require_program
from helpers.proofs import size

SHORT = not size("MEMORY", 0)
DESCRIPTORS = 80
MEBIBYTES = 1024 * 1024


async def test_it_bears_more_connections_than_file_descriptors(daemon: DaemonProcess, fake: FakeSystem) -> None:
    require_program("prlimit")
    daemon.prefix = ["prlimit", f"--nofile={DESCRIPTORS}"]
    load = Load(daemon, fake, lasting_port(), random.Random(1), timeout="10s")
    load.configure(3)
    await daemon.start()
    waiting = await load.submit({"play": "silent"})
    await daemon.until(waiting["id"], "waiting")
    (url,) = [seen.body["callback_url"] for seen in fake.seen]
    with ExitStack() as held:
        for _ in range(DESCRIPTORS * 2):
            connection = held.enter_context(socket.socket())
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", load.port))
        await trio.sleep(1.0)
        assert await daemon.exited(0.0) is None, daemon.log()
        # the store has what it needs: what reaches the daemon at all is written or refused, never half
        control = [held.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(10)]
        for connection in control:
            connection.setblocking(False)
            connection.connect_ex(str(daemon.socket))
        await trio.sleep(0.5)
        assert await daemon.exited(0.0) is None, daemon.log()
    with trio.fail_after(120):
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            assert (await client.post(url, json={"status": "success", "data": {}})).status_code == 200
        fake.callback_answers.append((url, 200))
        await daemon.until(waiting["id"], "closed")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.run)
            while len(load.acknowledged) < 20:
                await trio.sleep(0.05)
            load.stopping = True
    await load.settle()
    assert await daemon.stop() == 0
    assert "disk I/O" not in daemon.log()
    assert load.compare(daemon.directory / "state" / "connectord.db").problems == []


@pytest.mark.parametrize("spare", [24] if SHORT else [2, 8, 16, 24, 32, 48, 64])
async def test_too_little_memory_loses_nothing(daemon: DaemonProcess, fake: FakeSystem, spare: int) -> None:
    load = Load(daemon, fake, lasting_port(), random.Random(1), timeout="2s")
    load.configure(3)
    await daemon.start()
    for _ in range(5):
        await load.submit({"play": "answer"})
    used = _address_space(daemon.pid)
    resource.prlimit(daemon.pid, resource.RLIMIT_AS, (used + spare * MEBIBYTES, resource.RLIM_INFINITY))
    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(_submit_much, load)
        nursery.start_soon(load.run, 1)
        code = await daemon.exited(3.0)
        refused = len(load.refusals)
        daemon.kill()
        await daemon.start()
        load.stopping = True
    await load.settle()
    assert await daemon.stop() == 0
    found = load.compare(daemon.directory / "state" / "connectord.db")
    print(f"\n{spare} MiB: exit {code}, {refused} refused, {len(found.ids)} actions")
    assert found.problems == []


async def _submit_much(load: Load) -> None:
    actions = [{**load.make(), "data": {"play": "answer", "text": "x" * 70_000}} for _ in range(10)]
    for _ in range(5):
        try:
            answers = await load.daemon.call("submit_many", actions=actions)
        except (DaemonUnreachable, RequestFailed) as error:
            load.note(error)
            await trio.sleep(0.2)
        else:
            load.acknowledge(actions, answers["actions"])
            return


def _address_space(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[0]) * resource.getpagesize()
