"""A lane: one external system, its concurrency, its rate, its adapter.

The lane has one timer, however many actions are pending. An attempt is a task only while it is under way. An
adapter that fails in a way of its own costs that attempt; the lane goes on with a fresh instance after a pause.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
import trio

from connectord.adapters import Adapter, AdapterContext, Call, Network, NotConnected, Rejected, Succeeded, Taken
from connectord.clock import Clock
from connectord.config import SystemConfig
from connectord.errors import StoreError
from connectord.lanes.rate import RateWindow
from connectord.ledger.ledger import Ledger
from connectord.ledger.operations import ClaimedAttempt
from connectord.ledger.submission import response_digest
from connectord.lifecycle import events as on
from connectord.times import rfc3339

CLAIM_LIMIT = 64
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

log = structlog.get_logger()


@dataclass(slots=True)
class Health:
    """What is known of a lane's system, for ``systems``."""

    state: str = "starting"
    """starting, ok, failing (the last attempt did not connect), fault (the adapter itself), paused, draining"""
    last_error: str | None = None
    last_success_at: int | None = None
    faults: int = 0


@dataclass(slots=True)
class _Generation:
    """One instance of the adapter, from open to close, and whether it has shown a fault."""

    adapter: Adapter
    fault: trio.Event = field(default_factory=trio.Event)
    in_flight: int = 0
    idle: trio.Event = field(default_factory=trio.Event)


class Lane:
    """Claims, attempts and reports for one system."""

    def __init__(
        self,
        config: SystemConfig,
        *,
        adapter_class: type[Adapter],
        ledger: Ledger,
        clock: Clock,
        network: Network,
        callback_url: Callable[[str], str],
        paused: bool = False,
    ) -> None:
        self.config = config
        self.health = Health()
        self.under_way: dict[str, int] = {}
        self.paused = paused
        self._generation: _Generation | None = None
        self._replaced = False
        self._adapter_class = adapter_class
        self._ledger = ledger
        self._clock = clock
        self._network = network
        self._callback_url = callback_url
        self._alarm = ledger.lane_alarm(config.name)
        self._freed = trio.Event()
        self._stopping = False
        self._stopped = trio.Event()
        self._reader: Adapter | None = None
        self._rate = self._new_rate()

    @property
    def in_flight(self) -> int:
        """How many attempts are under way."""
        return len(self.under_way)

    @property
    def rate_used_up(self) -> bool:
        """Whether the rate lets no attempt begin just now."""
        return self._rate is not None and self._rate.available(trio.current_time()) <= 0

    @property
    def name(self) -> str:
        """The system's name."""
        return self.config.name

    def reader(self) -> Adapter:
        """An adapter instance for reading callbacks; it is never opened."""
        if self._reader is None:
            self._reader = self._new_adapter()
        return self._reader

    def reconfigure(self, config: SystemConfig) -> None:
        """Go on with a new configuration of the same adapter: what is under way ends as it began."""
        fresh = (config.settings, config.adapter) != (self.config.settings, self.config.adapter)
        new_rate = config.rate != self.config.rate
        self.config = config
        self._reader = None
        if new_rate:
            self._rate = self._new_rate()
        if fresh and self._generation is not None:
            self._generation.fault.set()
            self._replaced = True
        self._freed.set()
        self._alarm.set(0)

    def set_paused(self, paused: bool) -> None:
        """Stop claiming, or go on. What is under way ends."""
        self.paused = paused
        self._freed.set()
        self._alarm.set(0)

    def stop(self) -> None:
        """Claim no more; :meth:`run` returns once what is under way has ended."""
        self._stopping = True
        self._freed.set()
        self._alarm.set(0)

    async def run(self) -> None:
        """Work until stopped or cancelled. Should the lane itself fail, it starts again after a pause."""
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping:
            try:
                await self._work()
            except (StoreError, trio.Cancelled):
                raise
            except Exception as error:
                log.error("lane failed", system=self.name, exc_info=error)
                self.health.state, self.health.last_error = "fault", _words(error)
                await self._report_interrupted()
                await self._pause(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _report_interrupted(self) -> None:
        for action_id, number in list(self.under_way.items()):
            event = on.AttemptInterrupted(number, "interrupted: the lane failed during the attempt")
            await self._ledger.report(action_id, event, "recovery")
        self.under_way.clear()

    async def _work(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        async with trio.open_nursery() as nursery:
            self._alarm.set(0)
            while not self._stopping:
                opened_at = trio.current_time()
                generation = await self._open_generation()
                if generation is not None:
                    self._generation = generation
                    await self._claim_until_fault(generation, nursery)
                    self._generation = None
                    nursery.start_soon(self._retire, generation)
                if self._stopping:
                    break
                if self._replaced:
                    self._replaced = False
                    continue
                if trio.current_time() - opened_at > LONGEST_PAUSE_SECONDS:
                    pause = FIRST_PAUSE_SECONDS
                self.health.faults += 1
                self.health.state = "fault"
                log.warning("lane restarts", system=self.name, pause_seconds=pause, error=self.health.last_error)
                await self._pause(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _pause(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            while not self._stopping:
                self._freed = trio.Event()
                await self._freed.wait()

    async def _open_generation(self) -> _Generation | None:
        try:
            adapter = self._new_adapter()
            with trio.fail_after(self.config.attempt_timeout_ms / 1000):
                await adapter.open()
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001  - a plugin's fault never takes the daemon down
            _reraise_cancelled(error)
            self.health.last_error = f"the adapter could not be opened: {_words(error)}"
            return None
        self.health.state = "ok"
        return _Generation(adapter)

    async def _retire(self, generation: _Generation) -> None:
        while generation.in_flight:
            generation.idle = trio.Event()
            await generation.idle.wait()
        try:
            with trio.move_on_after(10):
                await generation.adapter.close()
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001  - as above
            _reraise_cancelled(error)
            log.warning("adapter failed to close", system=self.name, error=_words(error))

    async def _claim_until_fault(self, generation: _Generation, nursery: trio.Nursery) -> None:
        while not (generation.fault.is_set() or self._stopping):
            self._freed = trio.Event()
            free = 0 if self.paused else min(self.config.concurrency - self.in_flight, CLAIM_LIMIT)
            wait_seconds = None
            if free > 0 and self._rate is not None:
                now = trio.current_time()
                free = min(free, self._rate.available(now))
                wait_seconds = self._rate.wait_seconds(now)
            if free <= 0:
                with trio.move_on_after(wait_seconds or math.inf):
                    await self._freed.wait()
                continue
            claims = await self._ledger.claim(self.name, free)
            if self._rate is not None and claims.attempts:
                self._rate.record(trio.current_time(), len(claims.attempts))
            for claimed in claims.attempts:
                self.under_way[claimed.action.id] = claimed.action.attempts
                generation.in_flight += 1
                nursery.start_soon(self._attempt, generation, claimed)
            self._alarm.set(claims.next_due_at)
            if self.in_flight < self.config.concurrency or not claims.attempts:
                await self._wait_for_due(generation)

    async def _wait_for_due(self, generation: _Generation) -> None:
        async with trio.open_nursery() as nursery:

            async def until(condition: Callable[[], Awaitable[None]]) -> None:
                await condition()
                nursery.cancel_scope.cancel()

            nursery.start_soon(until, generation.fault.wait)
            await self._alarm.wait()
            nursery.cancel_scope.cancel()

    async def _attempt(self, generation: _Generation, claimed: ClaimedAttempt) -> None:
        action = claimed.action
        number = action.attempts
        try:
            event, fault = await self._trigger(generation.adapter, claimed)
            if fault:
                generation.fault.set()
                self._freed.set()
            transition = await self._ledger.report(action.id, event, f"system:{self.name}")
            # an attempt that is cancelled here stays in the books, to be reported as interrupted
            del self.under_way[action.id]
        finally:
            generation.in_flight -= 1
            generation.idle.set()
            self._freed.set()
        after = None if transition is None else transition.action
        self._note_health(event)
        level = log.warning if isinstance(event, on.ConnectionFailed) else log.debug
        level(
            "attempt ended",
            action=action.id,
            system=self.name,
            attempt=number,
            outcome=type(event).__name__,
            state=None if after is None else after.state.value,
            error=getattr(event, "message", None) or getattr(event, "reason", None),
        )

    async def _trigger(self, adapter: Adapter, claimed: ClaimedAttempt) -> tuple[on.Event, bool]:
        """What the attempt came to, and whether the adapter itself was at fault."""
        number = claimed.action.attempts
        limit_seconds = self.config.attempt_timeout_ms / 1000
        try:
            with trio.move_on_after(limit_seconds):
                return self._event(await adapter.trigger(self._call(claimed)), number), False
            return on.ConnectionFailed(number, f"no answer within {limit_seconds:g} s"), False
        except NotConnected as error:
            wish = error.retry_after_seconds
            retry_after_ms = None if wish is None else int(max(wish, 0.0) * 1000)
            return on.ConnectionFailed(number, str(error), retry_after_ms), False
        except trio.Cancelled:
            raise
        except BaseException as error:  # a plugin's fault costs its own attempt and no more
            _reraise_cancelled(error)
            words = _words(error)
            self.health.last_error = f"adapter fault: {words}"
            log.error(
                "adapter fault",
                action=claimed.action.id,
                system=self.name,
                attempt=number,
                adapter=self.config.adapter,
                exc_info=error,
            )
            return on.ConnectionFailed(number, f"adapter fault: {words}"), True

    def _event(self, outcome: object, attempt: int) -> on.Event:
        match outcome:
            case Taken():
                return on.TakenBySystem(attempt, outcome.reference)
            case Succeeded():
                return on.SuccessReceived(response_digest("success", None, outcome.data), outcome.data, attempt)
            case Rejected():
                digest = response_digest("failure", outcome.reason, outcome.data)
                return on.FailureReceived(digest, outcome.reason, outcome.data, attempt)
        raise TypeError(f"trigger() returned {type(outcome).__name__}; it must be Taken, Succeeded or Rejected")

    def _call(self, claimed: ClaimedAttempt) -> Call:
        action = claimed.action
        expected = self.config.policy.response_expected
        return Call(
            action_id=action.id,
            system=action.system,
            case_id=action.case_id,
            owner=claimed.owner,
            attempt=action.attempts,
            submitted_at=rfc3339(action.submitted_at),
            data=claimed.data,
            case_data=claimed.case_data,
            callback_url=self._callback_url(action.id) if expected else None,
            idempotency_key=action.id,
        )

    def _note_health(self, event: on.Event) -> None:
        if isinstance(event, on.ConnectionFailed):
            self.health.last_error = event.message
            if self.health.state == "ok":
                self.health.state = "failing"
        else:
            self.health.last_success_at = self._clock.now_ms()
            if self.health.state == "failing":
                self.health.state = "ok"

    def _new_adapter(self) -> Adapter:
        context = AdapterContext(self.name, self.config.concurrency, self._network)
        return self._adapter_class(self.config.settings, context)

    def _new_rate(self) -> RateWindow | None:
        rate = self.config.rate
        return None if rate is None else RateWindow(rate.count, rate.per_ms / 1000)


def _words(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _reraise_cancelled(error: BaseException) -> None:
    """Let our own cancellation out of a group that a plugin's nursery made."""
    if isinstance(error, BaseExceptionGroup):
        cancelled = error.subgroup(trio.Cancelled)
        if cancelled is not None:
            raise cancelled
