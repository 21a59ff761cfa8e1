"""Probes: did the system get the action in the attempt whose outcome is unknown (rule 14)?"""

from __future__ import annotations

from functools import partial

import structlog
import trio

from connectord.lanes.calls import Trouble, call_adapter
from connectord.lanes.context import LaneContext
from connectord.lanes.instances import Instance
from connectord.lanes.outcomes import probe_event, probe_failed
from connectord.ledger.operations import ClaimedCall
from connectord.lifecycle import events as on

log = structlog.get_logger()


class Probes:
    """The probes of one lane that are under way. Each stands in the place of the attempt that may follow it."""

    def __init__(self, context: LaneContext) -> None:
        self.under_way: dict[str, trio.CancelScope] = {}
        self._context = context

    def begin(self, instance: Instance, claimed: ClaimedCall, nursery: trio.Nursery, began_in: int) -> None:
        """Ask about one action, in a task of its own."""
        self.under_way[claimed.action.id] = trio.CancelScope()
        self._context.measures.probes += 1
        instance.begin_call()
        nursery.start_soon(self._probe, instance, claimed, began_in)

    def cancel_all(self) -> None:
        """Cut off every question; each is asked again when the lane goes on."""
        for scope in self.under_way.values():
            scope.cancel()

    async def _probe(self, instance: Instance, claimed: ClaimedCall, began_in: int) -> None:
        context, action = self._context, claimed.action
        context.admission.note_begin(claimed.rate_kind)
        number = action.attempts

        async def give_up(message: str) -> None:
            self._end(action.id, await self._settle(action.id, probe_failed(Trouble(message, fault=True), number)))

        def free_place() -> None:
            instance.end_call()
            context.recovery.end(began_in)
            context.admission.end_attempt(retry=claimed.retry)

        due_at = None
        call = context.begin_call("probe", action.id, give_up, free_place)
        try:
            with self.under_way[action.id] as scope:
                answer = await call_adapter(
                    lambda: instance.adapter.probe(context.call_for(claimed)),
                    partial(probe_event, attempt=number),
                    adapter=context.adapter_class,
                    method="probe",
                    system=context.name,
                    limit_seconds=context.limit_seconds,
                    action=action.id,
                    attempt=number,
                )
            if scope.cancelled_caught:
                return
            event = probe_failed(answer, number) if isinstance(answer, Trouble) else answer
            if not call.abandoned:
                due_at = await self._settle(action.id, event)
            elif not isinstance(answer, Trouble):
                # the probe has failed already; a response counts whenever it comes
                await context.ledger.report(action.id, event, f"probe:{context.name}")
        finally:
            if not call.abandoned:
                self._end(action.id, due_at)
            context.calls.end(call)
        log.info("probed", action=action.id, system=context.name, attempt=number, outcome=type(event).__name__)

    async def _settle(self, action_id: str, event: on.Event) -> int | None:
        """Report what came of a probe; when the action is due next."""
        context = self._context
        if isinstance(event, on.ProbeFailed):
            context.health.failed(event.message)
        else:
            context.health.reached(context.clock.now_ms())
        transition = await context.ledger.report(action_id, event, f"probe:{context.name}")
        return None if transition is None else transition.action.due_at

    def _end(self, action_id: str, due_at: int | None) -> None:
        del self.under_way[action_id]
        # whoever looked for what is due before this did not see the action
        self._context.ledger.lane_alarm(self._context.name).set(due_at)
