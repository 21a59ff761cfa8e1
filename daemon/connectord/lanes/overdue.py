"""Giving up calls of an adapter that go on after their time limit, because they do not let themselves be cancelled.

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


async def abandon_overdue(context: LaneContext) -> None:
    """Give up what does not end in time. Runs until cancelled."""
    while True:
        call = await context.calls.oldest()
        left = call.since + context.limit_seconds + GRACE_SECONDS - trio.current_time()
        if left > 0:
            await trio.sleep(left)
        else:
            await _abandon(context, call)


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
        f"adapter fault: no answer within {context.limit_seconds:g} s, and {call.method}() ignores cancellation "
        f"(adapter {adapter.name}, {place})"
    )
    if not keeps_place:
        call.free_place()
