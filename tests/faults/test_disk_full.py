"""The disk is full under load, and is freed: new work is refused, what is there stays, and it goes on by itself."""

from __future__ import annotations

import random
from pathlib import Path

import httpx
import pytest
import trio
from connectord.errors import DaemonUnreachable, RequestFailed
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from helpers.load import OVERLOADED, Load
from helpers.ports import lasting_port
from helpers.proofs import size
from helpers.small_disk import fill, small_disk

ROUNDS = size("ROUNDS", 1)
ROOM_KIB = 24_000


async def test_a_full_disk_refuses_new_work_and_loses_nothing(daemon: DaemonProcess, fake: FakeSystem) -> None:
    state = daemon.directory / "state"
    with small_disk(state, ROOM_KIB):
        load = Load(daemon, fake, lasting_port(), random.Random(1))
        load.configure(3)
        await daemon.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.run)
            for _ in range(ROUNDS):
                await _load_for(load, 15)
                await _be_full(load, state)
            load.stopping = True
        await load.settle()
        assert await daemon.stop() == 0
        found = load.compare(state / "connectord.db")
        print(f"\n{len(found.ids)} actions, {len(load.refusals)} refusals")
        assert found.problems == []
        # nothing but "no room" was ever said
        assert {refusal.code for refusal in load.refusals} <= {OVERLOADED}


async def test_it_starts_on_a_full_disk_and_goes_on_when_there_is_room(daemon: DaemonProcess, fake: FakeSystem) -> None:
    state = daemon.directory / "state"
    with small_disk(state, ROOM_KIB):
        load = Load(daemon, fake, lasting_port(), random.Random(2))
        load.configure(3)
        await daemon.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.run)
            await _load_for(load, 10)
            kept = {name: (state / name).read_bytes() for name in ("callback.key",)}
            configuration = daemon.config_file.read_bytes()
            daemon.kill()
            filler = fill(state)
            # without room it either waits for it, or says so and ends; a service manager starts it again then
            daemon.launch()
            code = await daemon.exited(3.0)
            assert code in (None, 1), daemon.log()
            assert "Traceback" not in daemon.log()
            filler.unlink()
            if code is not None:
                assert "disk" in daemon.log() or "space" in daemon.log()
                daemon.launch()
            await _reachable(daemon)
            assert {name: (state / name).read_bytes() for name in kept} == kept
            assert configuration.startswith(b"[daemon]")
            assert (state / "lock").read_text().strip() == str(daemon.pid)
            load.stopping = True
        await load.settle()
        assert await daemon.stop() == 0
        assert load.compare(state / "connectord.db").problems == []


async def _be_full(load: Load, state: Path) -> None:
    daemon, fake = load.daemon, load.fake
    waiting = await load.submit({"play": "silent"})
    await daemon.until(waiting["id"], "waiting")
    filler = fill(state)
    # a few kilobytes may be left in files that are there
    with pytest.raises(RequestFailed, match="cannot take it now") as refused:
        await _submit_until_refused(load)
    assert refused.value.code == OVERLOADED
    url = next(seen.body["callback_url"] for seen in reversed(fake.seen) if seen.body["action"]["id"] == waiting["id"])
    document = {"status": "success", "data": {"text": "x" * 200_000}}
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.post(url, json=document)
        assert answer.status_code == 503, answer.text
        assert daemon.pid
        # what can be read can still be read
        assert (await daemon.call("show", id=waiting["id"]))["state"] in ("waiting", "todo")
        await trio.sleep(1.5)
        filler.unlink()
        with trio.fail_after(120):
            while (await client.post(url, json=document)).status_code == 503:
                await trio.sleep(0.1)
    await load.submit({"play": "answer"})


async def _submit_until_refused(load: Load) -> None:
    with trio.fail_after(60):
        while True:
            await load.submit({"play": "answer", "n": "x" * 100_000})


async def _load_for(load: Load, actions: int) -> None:
    goal = len(load.acknowledged) + actions
    with trio.fail_after(60):
        while len(load.acknowledged) < goal:
            await trio.sleep(0.02)


async def _reachable(daemon: DaemonProcess) -> None:
    with trio.fail_after(120):
        while True:
            try:
                await daemon.call("status")
            except DaemonUnreachable:
                await trio.sleep(0.05)
            else:
                return
