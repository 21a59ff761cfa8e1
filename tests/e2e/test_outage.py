"""A real system goes away with a backlog before it, and comes back: what it sees of the daemon meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from connectord.testing.faults import Exchange, Fault
from connectord.testing.messages import Answer

BACKLOG = 300
CONCURRENCY = 32


class Slow(Fault):
    """A good answer after a while; knows how many requests there were at once as each came."""

    def __init__(self, seconds: float) -> None:
        self.at_once: list[int] = []
        self._seconds = seconds
        self._running = 0

    async def play(self, exchange: Exchange) -> None:
        self._running += 1
        self.at_once.append(self._running)
        try:
            await trio.sleep(self._seconds)
            await exchange.send(Answer(204, b"", {"Connection": "close"}).encode())
        finally:
            self._running -= 1


async def erp_of(daemon: DaemonProcess) -> dict[str, Any]:
    return next(system for system in (await daemon.call("systems"))["systems"] if system["name"] == "erp")


async def until(
    daemon: DaemonProcess, holds: Callable[[dict[str, Any]], bool], seconds: float = 60.0
) -> dict[str, Any]:
    with trio.fail_after(seconds):
        while not holds(system := await erp_of(daemon)):
            await trio.sleep(0.1)
    return system


async def test_a_system_that_comes_back_gets_its_backlog_on_a_ramp(
    daemon: DaemonProcess, fake: FakeSystem, configure: Callable[..., None]
) -> None:
    configure(
        erp=f'concurrency = {CONCURRENCY}\nresponse_expected = false\nretry.limit = 50\nhealthcheck = "off"\n'
        'circuit = { pause = "500ms", max_pause = "1s" }'
    )
    slow = Slow(0.5)
    async with fake.refusing():
        await daemon.start()
        actions = [{"system": "erp", "case": f"C-{number}", "data": {"play": "answer"}} for number in range(BACKLOG)]
        submitted = (await daemon.call("submit_many", actions=actions))["actions"]
        away = await until(daemon, lambda system: system["circuit"]["state"] == "open")
        assert away["places_allowed"] == 0
        assert away["circuit"]["next_trial_at"] is not None
        # while it is away it is left alone: few of the hundreds are tried, and the others keep their tries
        await trio.sleep(3)
        cards = [await daemon.call("show", id=action["id"]) for action in submitted[::10]]
        assert sum(card["attempts"] == 0 for card in cards) >= len(cards) / 2
        assert {card["state"] for card in cards} == {"pending"}
        told = await daemon.call("why", id=next(card["id"] for card in cards if card["attempts"] == 0))
        assert "erp" in told["waits_for"]
        fake.always(slow)

    seen = {}
    with trio.fail_after(120):
        while (system := await erp_of(daemon))["pending"] or system["in_flight"]:
            seen[system["places_allowed"]] = system
            await trio.sleep(0.05)
    # one at first, never more than twice as many as had gone well by then, and all places in the end
    assert len(slow.at_once) == BACKLOG
    assert slow.at_once[0] == 1
    for count, at_once in enumerate(slow.at_once):
        assert at_once <= max(2 * count, 1)
    assert max(slow.at_once) > CONCURRENCY / 2
    assert system["places_allowed"] == CONCURRENCY
    assert sum(2 <= allowed < CONCURRENCY for allowed in seen) >= 2
    assert (await erp_of(daemon))["circuit"] == {"state": "closed", "next_trial_at": None}
    assert "circuit opened" in daemon.log()
    assert "circuit closed" in daemon.log()
    assert await daemon.stop() == 0
