"""Polls: asking a system for the responses of what it has, where it does not call back."""

from __future__ import annotations

import structlog
import trio

from connectord.lanes.calls import Trouble, call_adapter
from connectord.lanes.context import LaneContext
from connectord.lanes.instances import Instance
from connectord.lanes.outcomes import poll_event
from connectord.lanes.pulse import Pulse
from connectord.ledger.operations import ClaimedCall
from connectord.lifecycle import events as on

POLL_LIMIT = 64

log = structlog.get_logger()


class Polling:
    """Waits for the one timer of the lane's polls, however many actions wait, and asks for what is due.

    A pause of the system does not stop it: what the system has already goes on, as it does where systems call back.
    """

    def __init__(self, context: LaneContext) -> None:
        self._context = context
        self._polled = context.ledger.polled(context.name)
        self._adopting: str | None = ""
        self._pulse: Pulse | None = None

    @property
    def is_silent(self) -> bool:
        """Whether it was asked to come round and does not."""
        return self._pulse is not None and self._pulse.is_owed

    def ask(self) -> None:
        """Let it come round, if it runs."""
        if self._pulse is not None:
            self._pulse.ask()
            self._polled.alarm.set(0)

    async def run(self, instance: Instance, nursery: trio.Nursery) -> None:
        """Poll until the instance has ended. What begins goes on in ``nursery``."""
        admission = self._context.admission
        pulse = self._pulse = Pulse()
        while self._adopting is not None and not instance.ended:
            pulse.beat()
            self._adopting = await self._context.ledger.adopt_waiting(self._context.name, self._adopting)
        self._polled.alarm.set(0)
        try:
            while not instance.ended:
                pulse.beat()
                await instance.wait(self._polled.alarm.wait)
                while not instance.ended and await self._find(instance, nursery):
                    pulse.beat()
        finally:
            self._pulse = None
            admission.leave_polls()

    def cancel_all(self) -> None:
        """Cut off every poll; each is asked again when the lane goes on."""
        self._polled.cancel_all()

    async def _find(self, instance: Instance, nursery: trio.Nursery) -> bool:
        """Begin what there is room for; whether more is due."""
        context, admission = self._context, self._context.admission
        places = admission.reserve_polls(POLL_LIMIT)
        if not places:
            await instance.wait(admission.wait)
            return True
        polls = await context.ledger.find_polls(context.name, places)
        if instance.ended:
            return False
        context.measures.polls += len(polls.calls)
        for claimed in polls.calls:
            scope = self._polled.begin(claimed.action.id)
            instance.begin_call()
            nursery.start_soon(self._poll, instance, claimed, scope)
        more = polls.next_at is not None and polls.next_at <= context.clock.now_ms()
        admission.begin_polls(len(polls.calls), more_wait=more)
        self._polled.alarm.set(polls.next_at)
        return more

    async def _poll(self, instance: Instance, claimed: ClaimedCall, scope: trio.CancelScope) -> None:
        context, action = self._context, claimed.action
        context.admission.note_begin("poll")
        next_at: int | None = 0  # cut off: to be asked again at once, if by somebody else

        async def settle(answer: on.Event | Trouble | None) -> int | None:
            event, retry_after_ms = None, None
            if isinstance(answer, Trouble):
                retry_after_ms = answer.retry_after_ms
                context.health.failed(answer.message)
                log.warning("poll failed", action=action.id, system=context.name, error=answer.message)
            else:
                event = answer
                context.health.reached(context.clock.now_ms())
            return await context.ledger.end_poll(action.id, event, f"poll:{context.name}", retry_after_ms)

        async def give_up(message: str) -> None:
            self._polled.end(action.id, await settle(Trouble(message, fault=True)))

        def free_place() -> None:
            instance.end_call()
            context.admission.end_poll()

        call = context.begin_call("poll", action.id, give_up, free_place)
        try:
            with scope:
                answer = await call_adapter(
                    lambda: instance.adapter.poll(context.call_for(claimed)),
                    poll_event,
                    adapter=context.adapter_class,
                    method="poll",
                    system=context.name,
                    limit_seconds=context.limit_seconds,
                    action=action.id,
                )
            if scope.cancelled_caught:
                return
            if not call.abandoned:
                next_at = await settle(answer)
            elif answer is not None and not isinstance(answer, Trouble):
                # the poll has failed already; a response counts whenever it comes
                await context.ledger.report(action.id, answer, f"poll:{context.name}")
        finally:
            if not call.abandoned:
                self._polled.end(action.id, next_at)
            context.calls.end(call)
