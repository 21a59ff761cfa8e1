"""A lane: one external system, its concurrency, its rate, its adapter.

The lane has one timer for attempts and one for polls, however many actions there are. A call of the adapter is a task
only while it is under way. An adapter that fails in a way of its own costs that call; where it was an attempt, the lane
goes on with a fresh instance after a pause.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

import structlog
import trio

from connectord.adapters import Adapter, Network, OptionalMethod, has_method
from connectord.clock import Clock
from connectord.config import SystemConfig
from connectord.errors import StoreError
from connectord.guards.faults import words_of
from connectord.lanes.admission import Admission
from connectord.lanes.claiming import Claims
from connectord.lanes.context import LaneContext
from connectord.lanes.health import Health
from connectord.lanes.healthchecks import ask_now, check_health
from connectord.lanes.instances import Instance, open_instance, retire_instance
from connectord.lanes.listening import listen
from connectord.lanes.overdue import end_overdue
from connectord.lanes.pauses import Pauses
from connectord.lanes.polling import Polling
from connectord.lanes.probing import Probes
from connectord.lanes.recovery import Recovery, Standing
from connectord.ledger.ledger import Ledger
from connectord.lifecycle import events as on
from connectord.lifecycle.action import Action, State
from connectord.measures import LaneMeasures

log = structlog.get_logger()


class Lane:
    """Claims, attempts, asks and reports for one system."""

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
        measures: LaneMeasures | None = None,
        traceparent: Callable[[Action], str | None] = attrgetter("traceparent"),
    ) -> None:
        self.health = Health(config.name, mask=ledger.mask)
        admission = Admission(config.concurrency, config.rate, config.policy.retry.budget)
        self._context = LaneContext(
            config,
            adapter_class,
            ledger,
            clock,
            network,
            callback_url,
            admission,
            self.health,
            Recovery(config.name, config.circuit, config.concurrency, admission.ramp, clock),
            paused,
            measures=LaneMeasures() if measures is None else measures,
            traceparent=traceparent,
        )
        self._probes = Probes(self._context)
        self._claims = Claims(self._context, self._probes)
        self._polling = Polling(self._context) if has_method(adapter_class, "poll") else None
        self._instance: Instance | None = None
        self._replaced = False
        self._stop = trio.Event()
        self._reader: Adapter | None = None

    @property
    def config(self) -> SystemConfig:
        """The system's configuration that is in force."""
        return self._context.config

    @property
    def paused(self) -> bool:
        """Whether a person has stopped it."""
        return self._context.paused

    @property
    def in_flight(self) -> int:
        """How many attempts and probes are under way."""
        return len(self._context.attempts) + len(self._probes.under_way)

    @property
    def free_places(self) -> int:
        """In how many places of ``concurrency`` nothing is under way, polls counted."""
        return self._context.admission.free_places

    @property
    def circuit(self) -> Standing:
        """How its circuit stands."""
        return self._context.recovery.standing

    @property
    def circuit_openings(self) -> int:
        """How often its circuit opened, or opened again after trials that failed."""
        return self._context.recovery.openings

    @property
    def places_allowed(self) -> int:
        """How many attempts may be under way now: 0 while the circuit is open, more and more on the ramp after that."""
        return self._context.recovery.places_allowed

    @property
    def given_up(self) -> int:
        """How many calls go on although they were given up."""
        return self._context.calls.abandoned

    @property
    def rate_used_up(self) -> bool:
        """Whether the rate lets no attempt begin just now."""
        return self._context.admission.rate_used_up

    @property
    def name(self) -> str:
        """The system's name."""
        return self._context.name

    @property
    def adapter_module(self) -> str:
        """The module that the adapter's code stands in."""
        return self._context.adapter_class.__module__

    @property
    def checks_health(self) -> bool:
        """Whether its system can be asked just now whether it is there."""
        return self._instance is not None and self._offers("healthcheck")

    async def check_now(self, limit_seconds: float) -> str | None:
        """Ask the system whether it is there: why not, in words. None where it is, or where it cannot be asked."""
        instance = self._instance
        if instance is None or not self._offers("healthcheck"):
            return None
        return await ask_now(self._context, instance, min(limit_seconds, self._context.limit_seconds))

    def reader(self) -> Adapter:
        """An adapter instance for reading callbacks; it is never opened."""
        if self._reader is None:
            self._reader = self._context.new_adapter()
        return self._reader

    def reconfigure(self, config: SystemConfig) -> None:
        """Go on with a new configuration of the same adapter: what is under way ends as it began."""
        before = self.config
        self._context.reconfigure(config)
        self._reader = None
        if (config.settings, config.adapter) != (before.settings, before.adapter) and self._instance is not None:
            self._replaced = True
            self._instance.end()
        self._claims.alarm.set(0)

    def set_paused(self, paused: bool) -> None:
        """Stop claiming, or go on. What is under way ends, and what the system has is polled on."""
        if not paused:
            self._context.recovery.close("resumed")
            self._begin_ramp()
        self._context.paused = paused
        self._context.admission.wake()
        self._claims.alarm.set(0)

    @property
    def is_silent(self) -> bool:
        """Whether one of its loops was asked to come round (:meth:`ask`) and does not."""
        if self._stop.is_set():
            return False  # the stop has an end of its own
        return self._context.pulse.is_owed or (self._polling is not None and self._polling.is_silent)

    def ask(self) -> None:
        """Want a sign from its loops."""
        self._context.pulse.ask()
        self._claims.alarm.set(0)
        if self._polling is not None:
            self._polling.ask()
        self._context.admission.wake()

    def stop(self) -> None:
        """Claim no more; :meth:`run` returns once the attempts under way have ended.

        Polls and probes are cut off; they are asked again when the daemon starts.
        """
        self._stop.set()
        if self._instance is not None:
            self._instance.end()
        self._probes.cancel_all()
        if self._polling is not None:
            self._polling.cancel_all()

    async def run(self) -> None:
        """Work until stopped or cancelled. Should the lane itself fail, it starts again after a pause."""
        pauses = Pauses()
        self._begin_ramp()
        while not self._stop.is_set():
            pauses.begin()
            try:
                await self._work()
            except (StoreError, trio.Cancelled):
                raise
            except Exception as error:
                log.error("lane failed", system=self.name, exc_info=error)
                self.health.state, self.health.last_error = "fault", words_of(error)
                await self._report_interrupted()
                await self._pause(pauses.next())

    def _begin_ramp(self) -> None:
        self._context.recovery.begin_ramp(self._context.ledger.counts[self.name, State.PENDING.value])

    async def _report_interrupted(self) -> None:
        attempts = self._context.attempts
        for action_id, number in list(attempts.items()):
            event = on.AttemptInterrupted(number, "interrupted: the lane failed during the attempt")
            await self._context.ledger.report(action_id, event, "recovery")
        attempts.clear()

    async def _work(self) -> None:
        async with trio.open_nursery() as guards:
            guards.start_soon(end_overdue, self._context)
            async with trio.open_nursery() as nursery:
                await self._serve_on(nursery)
            guards.cancel_scope.cancel()

    async def _serve_on(self, nursery: trio.Nursery) -> None:
        """One instance after the other, until stopped."""
        pauses = Pauses()
        while not self._stop.is_set():
            pauses.begin()
            self._context.pulse.leave(self._context.limit_seconds)
            instance = await open_instance(self._context)
            self._context.pulse.beat()
            if instance is not None:
                await self._serve(instance, nursery)
            if self._stop.is_set():
                break
            if self._replaced:
                self._replaced = False
                continue
            self.health.faults += 1
            self.health.state = "fault"
            seconds = pauses.next()
            log.warning("lane restarts", system=self.name, pause_seconds=seconds, error=self.health.last_error)
            await self._pause(seconds)

    async def _serve(self, instance: Instance, nursery: trio.Nursery) -> None:
        """Work with one instance until it ends; what is under way then goes on in ``nursery``, until it is closed."""
        if self._stop.is_set():
            instance.end()
        self._instance = instance
        self._claims.alarm.set(0)
        nursery.start_soon(self._run_beside, instance)
        try:
            async with trio.open_nursery() as loops:
                loops.start_soon(self._claims.run, instance, nursery)
                if self._polling is not None and self._offers("poll"):
                    loops.start_soon(self._polling.run, instance, nursery)
        finally:
            self._instance = None
        nursery.start_soon(retire_instance, self._context, instance)

    async def _run_beside(self, instance: Instance) -> None:
        try:
            with instance.beside:
                async with trio.open_nursery() as nursery:
                    if self._offers("listen"):
                        nursery.start_soon(listen, self._context, instance)
                    if self._offers("healthcheck"):
                        nursery.start_soon(check_health, self._context, instance)
        finally:
            instance.beside_ended.set()

    def _offers(self, method: OptionalMethod) -> bool:
        return self._context.adapter_class.offers(method, self._context.config.settings)

    async def _pause(self, seconds: float) -> None:
        self._context.pulse.leave(seconds)
        with trio.move_on_after(seconds):
            await self._stop.wait()
