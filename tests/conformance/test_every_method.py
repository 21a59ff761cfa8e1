"""The kit on an adapter that has every optional method, and on one that never stops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio
from conformance.planted import Healthy
from connectord.adapters import (
    Call,
    Deliver,
    NotThere,
    Outcome,
    PollAnswer,
    ProbeAnswer,
    Rejected,
    Succeeded,
    Taken,
)
from connectord.testing import AdapterConformance, Answer, FakeSystem, Request, make_call
from connectord.testing.conformance import base
from connectord.testing.conformance.watchdog import ends_within


class Everything(Healthy):
    name = "everything"

    async def poll(self, call: Call) -> PollAnswer:
        outcome = await self.trigger(call)
        return None if isinstance(outcome, Taken | Rejected) else outcome

    async def probe(self, call: Call) -> ProbeAnswer:
        outcome = await self.trigger(call)
        return NotThere() if isinstance(outcome, Rejected) else outcome

    async def listen(self, deliver: Deliver) -> None:
        while True:
            await deliver("A-1", Succeeded())
            await trio.sleep(0.01)

    async def healthcheck(self) -> None:
        await self.trigger(make_call())


class TestEverything(AdapterConformance):
    adapter = Everything
    calls_back = False
    concurrency = 4

    def settings(self, system: FakeSystem) -> Mapping[str, Any]:
        return {"url": system.url}

    def answer(self, request: Request) -> Answer:
        return Answer.of_json({"id": "J-1"}, 202)


class Stubborn(Healthy):
    name = "stubborn"

    async def trigger(self, call: Call) -> Outcome:
        while True:
            try:
                await trio.sleep(60)
            except trio.Cancelled:
                continue


class Shielding(Healthy):
    name = "shielding"

    async def trigger(self, call: Call) -> Outcome:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()


class StubbornKit(TestEverything):
    adapter = Stubborn


@pytest.mark.parametrize("adapter", [Stubborn, Shielding])
def test_an_adapter_that_never_stops_is_broken_off_and_named(
    monkeypatch: pytest.MonkeyPatch, adapter: type[Healthy]
) -> None:
    monkeypatch.setattr(StubbornKit, "adapter", adapter)
    monkeypatch.setattr(base, "WATCHDOG_SECONDS", 1.0)
    with pytest.raises(pytest.fail.Exception, match="the adapter hangs: after 1 s and a cancellation it still runs"):
        StubbornKit().test_event_loop_goes_on()


def test_the_watchdog_leaves_what_ends_in_time_alone() -> None:
    with ends_within(30) as watchdog:
        pass
    assert not watchdog.fired


def test_the_watchdog_breaks_off_what_does_not_end() -> None:
    with pytest.raises(KeyboardInterrupt), ends_within(0.05) as watchdog:
        spin()
    assert watchdog.fired


def spin() -> None:
    while True:
        pass
