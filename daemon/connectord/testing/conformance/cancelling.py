"""Cancelled and killed at every await."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import pytest
import trio

from connectord.adapters import Adapter, Delivery, OptionalMethod, Response
from connectord.testing.conformance.base import CLOSE_SECONDS, ConformanceBase, Unsound, section
from connectord.testing.fake_system import FakeSystem
from connectord.testing.faults import Hang
from connectord.testing.resources import Resources, collected_by_accident, left_behind

MOST_AWAITS = 60
ROUNDS = 4
_SOON_SECONDS = 0.1
_EXCUSED = "ByteStream.__aiter__"  # httpx leaves it to the collector where a peer breaks off a request


class CancellationSection(ConformanceBase):
    """Cancelled at every await, an adapter stops there, leaks nothing, and stays usable."""

    @section("cancellation")
    @pytest.mark.parametrize("method", ["trigger", "poll", "probe", "healthcheck"])
    def test_cancellation_at_every_await_of(self, method: str) -> None:
        """Each round cancels at every await once; what grows from round to round is a leak."""

        async def cancel_everywhere(system: FakeSystem) -> None:
            counts = []
            async with self._opened(system) as instance:
                question = self._question(instance, method)
                before = Resources.now(system)
                for _ in range(ROUNDS):
                    await self._every_await(method, question)
                    await self._while_it_waits(method, question, system)
                    counts.append(len(await left_behind(before, system, patience_seconds=_SOON_SECONDS)))
                if counts == sorted(set(counts)) and counts[0] > 0:
                    grown = Resources.now(system).since(before)
                    raise Unsound(f"each round of cancelling {method}() leaves more behind: {', '.join(grown[-3:])}")
                await self._healthy(instance, after=f"after {method}() was cancelled")

        self._check_leaks(cancel_everywhere, None if method == "trigger" else cast("OptionalMethod", method))

    @section("cancellation")
    def test_cancellation_at_every_await_of_open(self) -> None:
        """The daemon does not close what it could not open, so open() itself lets go of everything."""

        async def cancel_everywhere(system: FakeSystem) -> None:
            for number in range(1, MOST_AWAITS):
                instance = self._instance(self.settings(system))
                steps, ending = await self._cancelled_at(number, "open", instance.open)
                if ending.cancelled:
                    continue
                await instance.close()
                if steps.taken < number:
                    return

        self._check_leaks(cancel_everywhere)

    @section("cancellation")
    def test_cancellation_at_every_await_of_close(self) -> None:
        async def cancel_everywhere(system: FakeSystem) -> None:
            for number in range(1, MOST_AWAITS):
                instance = self._instance(self.settings(system))
                await instance.open()
                await self._healthy(instance)
                steps, _ = await self._cancelled_at(number, "close", instance.close)
                if steps.taken < number:
                    return

        self._check_leaks(cancel_everywhere)

    @section("cancellation")
    def test_cancellation_at_every_await_of_listen(self) -> None:
        async def deliver(action_id: str, response: Response) -> Delivery:
            await trio.lowlevel.checkpoint()
            return Delivery.TAKEN

        async def cancel_everywhere(system: FakeSystem) -> None:
            async with self._opened(system) as instance:
                for number in range(1, MOST_AWAITS):
                    with trio.move_on_after(_SOON_SECONDS) as at_rest:
                        await self._cancelled_at(number, "listen", lambda: instance.listen(deliver))
                    if at_rest.cancelled_caught:
                        return

        self._check_leaks(cancel_everywhere, "listen")

    async def _every_await(self, method: str, question: Callable[[], Awaitable[object]]) -> None:
        for number in range(1, MOST_AWAITS):
            steps, _ = await self._cancelled_at(number, method, question)
            if steps.taken < number:
                return

    async def _while_it_waits(self, method: str, question: Callable[[], Awaitable[object]], system: FakeSystem) -> None:
        """Cancelled while the peer says nothing, as by ``attempt_timeout``."""
        if not self.speaks_http:
            return
        system.always(Hang())
        ending = await self._end(method, question, limit_seconds=_SOON_SECONDS)
        system.always(None)
        if ending.seconds > self.time_limit_seconds:
            raise Unsound(f"cancelled while it waited for the peer, {method}() took {ending.seconds:.1f} s to end")
        if not ending.cancelled and ending.seconds >= _SOON_SECONDS:
            raise Unsound(f"cancelled while it waited for the peer, {method}() swallowed the cancellation and {ending}")

    def _check_leaks(
        self, check: Callable[[FakeSystem], Awaitable[None]], needed: OptionalMethod | None = None
    ) -> None:
        async def checked(system: FakeSystem) -> None:
            if needed is not None:
                self._need(needed, system)
            await self._warm_up(system)
            before = Resources.now(system)
            with collected_by_accident() as collected:
                await check(system)
                held = await left_behind(before, system)
            if held:
                raise Unsound(f"leaked: after close() there is still {', '.join(held)}")
            forgotten = [words for words in collected if _EXCUSED not in words]
            if forgotten:
                raise Unsound(f"leaked, until the garbage collector came: {'; '.join(forgotten[:3])}")

        self._run(checked)


class KilledSection(ConformanceBase):
    """Killed at every await: the instance is gone without close(), and another one tries again."""

    @section("killed")
    def test_killed_at_every_await_of_trigger(self) -> None:
        async def check(system: FakeSystem) -> None:
            dropped: list[Adapter] = []
            try:
                for number in range(1, MOST_AWAITS):
                    instance = self._instance(self.settings(system))
                    dropped.append(instance)
                    await instance.open()
                    call = self._call(action_id=f"A-{number}", idempotency_key=f"key-of-{number}")
                    again = self._call(action_id=call.action_id, idempotency_key=call.idempotency_key, attempt=2)
                    system.requests.clear()
                    steps, _ = await self._cancelled_at(number, "trigger", lambda: instance.trigger(call))  # noqa: B023
                    async with self._opened(system) as fresh:
                        await self._healthy(fresh, again, after=f"after a kill at await {number}")
                    self._check_keys(system, call.idempotency_key, number)
                    if steps.taken < number:
                        return
            finally:
                # the kernel does this for a process that was killed
                with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_SECONDS):
                    for instance in dropped:
                        await instance.close()

        self._run(check)

    def _check_keys(self, system: FakeSystem, key: str, number: int) -> None:
        if not self.sends_key:
            return
        keys = self.keys_sent(system, key)
        if not keys or any(each != key for each in keys):
            raise Unsound(f"killed at await {number}, the action came with the keys {list(keys)}, not with {key} alone")
