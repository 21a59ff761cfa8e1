"""Ending calls of an adapter whose time is up, and giving up those that go on, for they ignore being cancelled.

trio cannot end a task that shields itself or swallows the cancellation. Such a call is settled as failed, and nobody
waits for it any more; what it brings in the end is a response that comes late (rule 15).
"""

from __future__ import annotations

import structlog
import trio

from connectord.guards.culprits import package_of, task_culprit
from connectord.lanes.context import LaneContext
from connectord.lanes.faults import place_of_method
from connectord.lanes.under_way import AdapterCall

GRACE_SECONDS = 5.0
"""How long a call may take to end after it was cancelled."""

MOST_ABANDONED = 64
"""So many given-up calls of a lane may go on beside the others; what is more keeps its place in ``concurrency``."""

log = structlog.get_logger()


async def end_overdue(context: LaneContext) -> None:
    """Cancel what does not end in time, and give up what does not end then. Runs until cancelled."""
    while True:
        calls = await context.calls.some()
        now = trio.current_time()
        # whatever begins from now on, by this configuration, is not late before
        next_look = now + context.limit_seconds
        for call in calls:
            ends_at = call.since + call.limit_seconds
            if call.scope is not None and not call.scope.cancel_called:
                if ends_at > now:
                    next_look = min(next_look, ends_at)
                    continue
                call.scope.cancel()
            given_up_at = ends_at + GRACE_SECONDS
            if given_up_at > now:
                next_look = min(next_look, given_up_at)
            else:
                await _abandon(context, call)
                next_look = now  # others may have ended meanwhile
                break
        with trio.move_on_at(next_look):
            await context.reconfigured.wait()


async def _abandon(context: LaneContext, call: AdapterCall) -> None:
    adapter = context.adapter_class
    place = place_of_method(adapter, call.method)
    culprit = task_culprit(call.task, {package_of(adapter.__module__): adapter.name})
    if culprit is not None and culprit.package is not None:
        place = culprit.at
    keeps_place = context.calls.abandoned >= MOST_ABANDONED
    context.calls.abandon(call, keeps_place=keeps_place)
    log.error(
        "adapter fault",
        system=context.name,
        adapter=adapter.name,
        method=call.method,
        at=place,
        action=call.action_id,
        error="it ignores cancellation; the call is given up, and goes on",
        calls_given_up=context.calls.abandoned,
    )
    await call.settle(
        f"adapter fault: no answer within {call.limit_seconds:g} s, and {call.method}() ignores cancellation "
        f"(adapter {adapter.name}, {place})"
    )
    if not keeps_place:
        call.free_place()
