"""SIGKILL under load, at random moments, again and again in one state directory (``make prove-kills``).

A third of the kills come while the daemon starts, so that recovery itself is killed, too.
"""

from __future__ import annotations

import random

import trio
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from helpers.load import Load
from helpers.ports import lasting_port
from helpers.proofs import size

KILLS = size("KILLS", 3)
SEED = size("SEED", 1)
MINUTES = size("MINUTES", 60)
"""When it ends with fewer kills, on a machine that has other things to do."""


async def test_rules_14_15_17_18_nothing_is_lost_by_kills_under_load(daemon: DaemonProcess, fake: FakeSystem) -> None:
    rng = random.Random(SEED)
    load = Load(daemon, fake, lasting_port(), rng)
    load.configure(3)
    kills = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run)
        end = trio.current_time() + MINUTES * 60
        while kills < KILLS and trio.current_time() < end:
            kills += 1
            if kills % 3 == 0:
                daemon.launch()
                await trio.sleep(rng.uniform(0.2, 1.2))
            else:
                await daemon.start()
                await trio.sleep(rng.uniform(0.0, 0.8))
            daemon.kill()
        await daemon.start()
        await trio.sleep(0.5)
        load.stopping = True
    await load.settle()
    assert await daemon.stop() == 0
    found = load.compare(daemon.directory / "state" / "connectord.db")
    print(
        f"\n{kills} kills, {len(found.ids)} actions, {sum(found.attempts.values())} attempts, "
        f"{len(fake.callback_answers)} callbacks, {load.retried} manual retries, {load.reloads} reloads"
    )
    assert found.problems == []
    assert set(found.states.values()) <= {"closed", "todo"}
    assert sum(found.attempts.values()) > len(found.ids) > kills > 0
    assert load.refusals == []
