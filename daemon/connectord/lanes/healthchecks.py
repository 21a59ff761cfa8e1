"""Looking whether the system can be reached, while no call tells."""

from __future__ import annotations

import math

import structlog
import trio

from connectord.lanes.calls import Trouble, call_adapter
from connectord.lanes.context import LaneContext
from connectord.lanes.instances import Instance

log = structlog.get_logger()


async def check_health(context: LaneContext, instance: Instance) -> None:
    """Check once, then whenever no call has reached the system for the interval. Runs until cancelled."""
    health, told_at = context.health, -math.inf
    while True:
        interval_ms = context.config.healthcheck_ms
        interval_seconds = math.inf if interval_ms is None else interval_ms / 1000
        left_seconds = told_at + interval_seconds - trio.current_time()
        if interval_ms is None or left_seconds > 0:
            with trio.move_on_after(left_seconds if interval_ms is not None else math.inf):
                await context.reconfigured.wait()
        else:
            await _check(context, instance, min(interval_seconds, context.limit_seconds))
            told_at = trio.current_time()
        told_at = max(told_at, health.reached_at or -math.inf)


async def ask_now(context: LaneContext, instance: Instance, limit_seconds: float) -> str | None:
    """Check out of turn, for a person who asks: why the system was not reached, in words; None where it was."""
    instance.begin_call()
    try:
        return await _check(context, instance, limit_seconds)
    finally:
        instance.end_call()


async def _check(context: LaneContext, instance: Instance, limit_seconds: float) -> str | None:
    trouble = await call_adapter(
        instance.adapter.healthcheck,
        lambda answer: None,
        adapter=context.adapter_class,
        method="healthcheck",
        system=context.name,
        limit_seconds=limit_seconds,
    )
    if isinstance(trouble, Trouble):
        context.health.failed(trouble.message)
        log.warning("healthcheck failed", system=context.name, error=trouble.message)
        return trouble.message
    context.health.reached(context.clock.now_ms())
    return None
