"""Slow and broken peers, the key on every attempt, several at once, and jumps of the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast
from unittest import mock

import pytest
import trio

from connectord.adapters import OptionalMethod, Rejected, Unclear
from connectord.testing.conformance.base import KEY, ConformanceBase, Ending, Unsound, section
from connectord.testing.fake_system import FakeSystem
from connectord.testing.faults import (
    CutBody,
    Drop,
    Fault,
    Hang,
    HugeBody,
    Malformed,
    Reset,
    Say,
    SlowBody,
    SlowHeaders,
    TlsGarbage,
    TooManyRequests,
    Unavailable,
)
from connectord.testing.messages import Answer

RETRY_AFTER_SECONDS = 7
DAY_SECONDS = 86_400

FAULTS: dict[str, Fault] = {
    "status 500": Unavailable(500),
    "status 502": Unavailable(502),
    "status 503": Unavailable(503),
    "status 504": Unavailable(504),
    "status 429": TooManyRequests(RETRY_AFTER_SECONDS),
    "status 422": Say(Answer.of_json({"detail": "the amount is missing"}, 422)),
    "no answer": Hang(),
    "slow headers": SlowHeaders(),
    "slow body": SlowBody(),
    "closed without an answer": Drop(),
    "closed in the head": Drop(12),
    "closed in the body": CutBody(),
    "reset without an answer": Reset(),
    "reset in the head": Reset(12),
    "no HTTP": Malformed(),
    "TLS garbage": TlsGarbage(),
    "huge body": HugeBody(),
}
_REFUSED_FOR_GOOD = ("status 422",)
_MEANS_ANYTHING = ("huge body",)


class BrokenPeersSection(ConformanceBase):
    """Whatever the peer does, a call ends within the adapter's own time limits, as rule 12 has it."""

    @section("broken peers")
    @pytest.mark.parametrize("method", ["trigger", "poll", "probe", "healthcheck"])
    @pytest.mark.parametrize("fault", FAULTS)
    def test_broken_peer(self, fault: str, method: str) -> None:
        self._need_http()

        async def check(system: FakeSystem) -> None:
            if method != "trigger":
                self._need(cast("OptionalMethod", method), system)
            async with self._opened(system) as instance:
                system.always(FAULTS[fault])
                ending = await self._end(method, self._question(instance, method))
                system.always(None)
                self._judge(fault, ending, system)
                await self._healthy(instance, after=f"once the peer is well again ({fault})")

        self._run(check)

    @section("broken peers")
    def test_broken_peer_that_refuses_connections(self) -> None:
        self._need_http()

        async def check(system: FakeSystem) -> None:
            async with self._opened(system) as instance:
                async with system.refusing():
                    ending = await self._end("trigger", self._question(instance, "trigger"))
                self._judge("connection refused", ending, system)
                await self._healthy(instance, after="once the peer takes connections again")

        self._run(check)

    @section("broken peers")
    def test_broken_settings(self) -> None:
        async def check(system: FakeSystem) -> None:
            broken = self.broken_settings(system)
            if not broken:
                pytest.skip("broken_settings() has none")
            for name, settings in broken.items():
                async with self._opened(system, settings) as instance:
                    self._judge(name, await self._end("trigger", self._question(instance, "trigger")), system)

        self._run(check)

    def _judge(self, fault: str, ending: Ending, system: FakeSystem) -> None:
        said = f"{fault}: {ending.method}() {self._ended(ending)}"
        if ending.cancelled:
            raise Unsound(f"{said}: it hangs on a slow peer, for it has no time limit of its own that fits")
        if ending.seconds > self.time_limit_seconds:
            raise Unsound(f"{said}, but only after {ending.seconds:.1f} s")
        self._check_outcome(ending)
        if fault in _MEANS_ANYTHING:
            if system.most_bytes_sent >= HugeBody().size_bytes:
                raise Unsound(f"{fault}: {ending.method}() read the whole of it: it should stop at a limit of its own")
        elif fault in _REFUSED_FOR_GOOD:
            if ending.method == "trigger" and not isinstance(ending.value, Rejected):
                raise Unsound(f"{said}; a refusal is an unsuccessful response: Rejected (rules 3 and 12)")
        elif ending.method == "healthcheck":
            return  # any answer may do: it says that the system is there
        elif ending.not_connected is None:
            if not (ending.method == "poll" and ending.value is None) and not isinstance(ending.value, Unclear):
                raise Unsound(f"{said}; that is a failed connection: NotConnected (rule 12)")
        elif fault == "status 429" and ending.not_connected.retry_after_seconds != RETRY_AFTER_SECONDS:
            raise Unsound(
                f"{fault}: Retry-After said {RETRY_AFTER_SECONDS} s, and NotConnected has retry_after_seconds="
                f"{ending.not_connected.retry_after_seconds} (rule 12)"
            )


class KeySection(ConformanceBase):
    """Every attempt of an action bears its one key (rule 14), and each action its own."""

    @section("idempotency key")
    def test_idempotency_key_of_every_attempt(self) -> None:
        if not self.sends_key:
            pytest.skip("the system takes no key (sends_key)")

        async def check(system: FakeSystem) -> None:
            async with self._opened(system) as instance:
                for action, key in (("A-1", KEY), ("A-2", f"{KEY}-2")):
                    system.requests.clear()
                    if self.speaks_http:
                        system.script(Unavailable(), Drop())
                    for attempt in (1, 2, 3):
                        call = self._call(action_id=action, idempotency_key=key, attempt=attempt)
                        self._check_outcome(
                            await self._end("trigger", lambda: instance.trigger(call))  # noqa: B023
                        )
                    keys = list(self.keys_sent(system, key))
                    if len(keys) < 3 or any(each != key for each in keys):
                        raise Unsound(
                            f"three attempts with the key {key} came with {keys}: every attempt of an action bears "
                            "call.idempotency_key (rule 14)"
                        )

        self._run(check)


class ConcurrencySection(ConformanceBase):
    """As many triggers at once as ``concurrency`` allows, each with its own outcome."""

    @section("concurrency")
    def test_concurrency(self) -> None:
        async def check(system: FakeSystem) -> None:
            endings: list[Ending] = []

            async with self._opened(system) as instance:

                async def one(number: int) -> None:
                    call = self._call(action_id=f"A-{number}", idempotency_key=f"{KEY}-{number}")
                    endings.append(await self._end("trigger", lambda: instance.trigger(call)))

                with system.holding(self.concurrency if self.speaks_http else 0):
                    async with trio.open_nursery() as nursery:
                        for number in range(self.concurrency):
                            nursery.start_soon(one, number)
            for ending in endings:
                self._check_outcome(ending)
            late = [ending for ending in endings if ending.cancelled or ending.error is not None]
            if late:
                raise Unsound(
                    f"of {self.concurrency} triggers at once, {len(late)} did not get through; the first of them "
                    f"{self._ended(late[0])}"
                )

        self._run(check)


class ClockSection(ConformanceBase):
    """The wall clock may jump while an attempt is under way: time limits are trio's, not the wall clock's."""

    @section("clock")
    @pytest.mark.parametrize("jump_seconds", [-DAY_SECONDS, DAY_SECONDS], ids=["a day back", "a day ahead"])
    def test_clock_jumps(self, jump_seconds: int) -> None:
        async def check(system: FakeSystem) -> None:
            async with self._opened(system) as instance:
                await self._healthy(instance)
                with _wall_clock_off_by(jump_seconds):
                    await self._healthy(instance, after="after a jump of the wall clock")
                    if self.speaks_http:
                        system.script(Hang())
                        ending = await self._end("trigger", self._question(instance, "trigger"))
                        self._check_outcome(ending)
                        if ending.cancelled:
                            raise Unsound("after a jump of the wall clock the adapter's time limit does not hold")
                await self._healthy(instance, after="after the wall clock has jumped back")

        self._run(check)


def _wall_clock_off_by(seconds: int) -> mock._patch_dict:
    real, real_ns = time.time, time.time_ns
    fakes: dict[str, Callable[[], float]] = {
        "time": lambda: real() + seconds,
        "time_ns": lambda: real_ns() + seconds * 10**9,
    }
    return mock.patch.dict(time.__dict__, fakes)
