"""What the sections of the kit share: what an integrator sets, and how a check is run and judged."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import msgspec
import pytest
import trio

from connectord.adapters import Adapter, Call, CallbackRequest, NotConnected, OptionalMethod
from connectord.guards.faults import leaf_of, reraise_cancelled, words_of
from connectord.lanes.faults import place_of
from connectord.lanes.outcomes import attempt_event
from connectord.testing.calls import make_call, make_context
from connectord.testing.conformance.report import take_part
from connectord.testing.conformance.watchdog import ends_within
from connectord.testing.fake_system import FakeSystem
from connectord.testing.messages import Answer, Request
from connectord.testing.steps import Steps

F = TypeVar("F", bound=Callable[..., None])

GOOD_BODY = b'{"status": "success", "data": {"document": "R-17"}}'
KEY = "conformance-key-7f3a"
CLOSE_SECONDS = 10.0
WATCHDOG_SECONDS = 60.0


class Unsound(Exception):
    """The adapter failed a check; the message says how, in words."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call of the adapter ended. ``error`` is the one error in a group of one."""

    method: str
    adapter: type[Adapter]
    value: object = None
    error: BaseException | None = None
    cancelled: bool = False
    seconds: float = 0.0

    @property
    def not_connected(self) -> NotConnected | None:
        """The error, where it is the one that an adapter may raise."""
        return self.error if isinstance(self.error, NotConnected) else None

    def __str__(self) -> str:
        if self.cancelled:
            return "was cancelled"
        if self.error is None:
            return f"returned {self.value!r}"[:300]
        return f"raised {words_of(self.error)} ({place_of(self.error, self.adapter, self.method)})"[:600]


def section(name: str) -> Callable[[F], F]:
    """Mark a test as part of a section of the report."""

    def mark(function: F) -> F:
        function.conformance_section = name  # type: ignore[attr-defined]
        return function

    return mark


class ConformanceBase:
    """What an integrator says about the adapter; every method may be overridden."""

    adapter: ClassVar[type[Adapter]]
    """The adapter class."""

    time_limit_seconds: ClassVar[float] = 3.0
    """How long one call may take with a slow or broken peer: longer than the time limits in :meth:`settings`."""

    concurrency: ClassVar[int] = 8
    """How many triggers are tried at once."""

    speaks_http: ClassVar[bool] = True
    """Whether it talks HTTP to the fake system. Without it the kit breaks nothing but :meth:`broken_settings`."""

    sends_key: ClassVar[bool] = True
    """Whether the idempotency key is handed to the system."""

    calls_back: ClassVar[bool] = True
    """Whether the system can call back."""

    callback_examples: ClassVar[int] = 200
    """How many random callbacks are tried."""

    signed_callbacks: ClassVar[bool] = False
    """Whether callbacks have to prove who sent them, with the settings of :meth:`settings`."""

    def settings(self, system: FakeSystem) -> Mapping[str, Any]:
        """The settings as they stand in connectord.toml, secrets in plain text, for the system at ``system.url``."""
        raise NotImplementedError(f"{type(self).__name__} must define settings(system)")

    def answer(self, request: Request) -> Answer:
        """What the system says to a request when all is well."""
        return Answer(202)

    def bad_settings(self, system: FakeSystem) -> Iterable[Mapping[str, Any]]:
        """Settings that must be refused."""
        return ()

    def broken_settings(self, system: FakeSystem) -> Mapping[str, Mapping[str, Any]]:
        """Settings with which the system is slow or broken, by what is wrong: each must end as NotConnected."""
        return {}

    def good_callback(self) -> CallbackRequest | None:
        """A callback as the system sends it; None where it is not known."""
        if self.adapter.read_callback is Adapter.read_callback:
            return CallbackRequest("A-1", {"content-type": "application/json"}, GOOD_BODY)
        return None

    def forged_callbacks(self) -> Iterable[CallbackRequest]:
        """Callbacks that must be refused, beside those that the kit makes of the good one."""
        return ()

    def hands_over(self, request: Request) -> bool:
        """Whether a request hands an action over; others, such as for a token, bear no key."""
        return True

    def keys_sent(self, system: FakeSystem, key: str) -> Sequence[str | None]:
        """For each time that the system got the action with ``key``: the key that it got, None where none came."""
        return [
            key if _contains(request, key) else request.headers.get("idempotency-key")
            for request in system.requests
            if self.hands_over(request)
        ]

    def make_call(self, **changes: Any) -> Call:
        """A call that the adapter can hand over."""
        return make_call(**changes)

    @pytest.fixture(autouse=True)
    def _conformance(self, request: pytest.FixtureRequest) -> None:
        name = getattr(request.function, "conformance_section", None)
        if name is not None:
            take_part(request.node, self.adapter.name, name)

    # what follows is for the sections

    def _run(self, check: Callable[[FakeSystem], Awaitable[None]]) -> None:
        __tracebackhide__ = True
        failure: BaseException | None = None

        async def main() -> None:
            nonlocal failure
            system = FakeSystem(answer=self.answer)
            async with system.serve():
                try:
                    await check(system)
                except (Exception, pytest.skip.Exception) as error:  # noqa: BLE001 - told outside of the nursery
                    failure = error

        try:
            with ends_within(WATCHDOG_SECONDS) as watchdog:
                trio.run(main)
        except BaseException:  # a KeyboardInterrupt, or what became of it
            if not watchdog.fired:
                raise
            failure = Unsound(f"the adapter hangs: after {WATCHDOG_SECONDS:g} s and a cancellation it still runs")
        if isinstance(failure, Unsound):
            pytest.fail(str(failure), pytrace=False)
        if failure is not None:
            raise failure

    def _call(self, **changes: Any) -> Call:
        return msgspec.structs.replace(self.make_call(), **{"idempotency_key": KEY, **changes})

    def _instance(self, settings: Mapping[str, Any], concurrency: int | None = None) -> Adapter:
        context = make_context(system="conformance", concurrency=concurrency or self.concurrency)
        return self.adapter(self.adapter.Settings.model_validate(settings), context)

    @asynccontextmanager
    async def _opened(
        self, system: FakeSystem, settings: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[Adapter, None]:
        instance = self._instance(self.settings(system) if settings is None else settings)
        await instance.open()
        try:
            yield instance
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_SECONDS):
                await instance.close()

    async def _warm_up(self, system: FakeSystem) -> None:
        """What is made once for the whole process is made now."""
        async with self._opened(system) as instance:
            await self._healthy(instance)
        system.requests.clear()

    async def _healthy(self, instance: Adapter, call: Call | None = None, after: str = "when all is well") -> None:
        ending = await self._end("trigger", lambda: instance.trigger(call or self._call()))
        self._check_outcome(ending)
        if ending.cancelled or ending.error is not None:
            raise Unsound(f"{after}, trigger() should hand the action over, but it {self._ended(ending)}")

    def _check_outcome(self, ending: Ending) -> None:
        """Raises :class:`Unsound` where it is nothing that a trigger may do."""
        if ending.error is not None:
            if ending.not_connected is None:
                raise Unsound(f"{ending.method}() {ending}; it may raise nothing but NotConnected")
            if not str(ending.error).strip():
                raise Unsound(f"{ending.method}() raised NotConnected without words for the card")
        elif not ending.cancelled and ending.method == "trigger":
            try:
                attempt_event(ending.value, 1)
            except (TypeError, ValueError) as error:
                raise Unsound(f"{error} ({ending.value!r})") from error

    def _ended(self, ending: Ending) -> str:
        if ending.cancelled:
            return f"did not end within {self.time_limit_seconds:g} s"
        return str(ending)

    def _question(self, instance: Adapter, method: str) -> Callable[[], Awaitable[object]]:
        call = self._call(reference="R-1" if method == "poll" else None)
        match method:
            case "trigger" | "poll" | "probe":
                return lambda: getattr(instance, method)(call)
            case _:
                return lambda: getattr(instance, method)()

    def _need(self, method: OptionalMethod, system: FakeSystem) -> None:
        if not self.adapter.offers(method, self.adapter.Settings.model_validate(self.settings(system))):
            pytest.skip(f"{method}(): the adapter {self.adapter.name} does not have it with these settings")

    def _need_http(self) -> None:
        if not self.speaks_http:
            pytest.skip("the adapter does not speak HTTP (speaks_http)")

    async def _end(
        self,
        method: str,
        call: Callable[[], Awaitable[object]],
        *,
        scope: trio.CancelScope | None = None,
        limit_seconds: float | None = None,
    ) -> Ending:
        """How a call ends; after the time limit it is cancelled, or earlier where ``scope`` says so."""
        started = trio.current_time()
        limit = self.time_limit_seconds if limit_seconds is None else limit_seconds
        ending = Ending(method, self.adapter)
        with scope or trio.CancelScope() as scope:
            scope.deadline = min(scope.deadline, started + limit)
            try:
                ending = replace(ending, value=await call())
            except (trio.Cancelled, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - it may raise anything; that is what is judged
                reraise_cancelled(error)
                ending = replace(ending, error=leaf_of(error))
        return replace(ending, cancelled=scope.cancelled_caught, seconds=trio.current_time() - started)

    async def _cancelled_at(self, number: int, method: str, call: Callable[[], Any]) -> tuple[Steps, Ending]:
        """How a call ends that is cancelled at its ``number``-th await. Raises :class:`Unsound` where it ends badly."""
        steps = Steps(number)
        ending = await self._end(method, lambda: steps.drive(call()), scope=steps.scope, limit_seconds=math.inf)
        where = f"cancelled at await {number}, {method}()"
        if steps.delivered and not ending.cancelled:
            raise Unsound(f"{where} swallowed the cancellation and {ending}")
        if ending.error is not None and ending.not_connected is None:
            raise Unsound(f"{where} {ending}")
        if ending.seconds > self.time_limit_seconds:
            raise Unsound(f"{where} took {ending.seconds:.1f} s to end")
        return steps, ending


def _contains(request: Request, key: str) -> bool:
    return key in request.target or key in request.headers.values() or key.encode() in request.body
