"""Listening: responses that come through a queue or a stream, for as long as an instance is open."""

from __future__ import annotations

import math
from typing import NoReturn

import structlog
import trio

from connectord.adapters import Delivery, Response
from connectord.lanes.calls import call_adapter
from connectord.lanes.context import LaneContext
from connectord.lanes.instances import Instance
from connectord.lanes.pauses import Pauses
from connectord.ledger.responses import checked_text, response_event

log = structlog.get_logger()


async def listen(context: LaneContext, instance: Instance) -> None:
    """Run the adapter's ``listen``, and again after a pause whenever it ends. Runs until cancelled."""
    pauses, health = Pauses(), context.health

    async def deliver(action_id: str, response: Response) -> Delivery:
        action_id = checked_text(action_id, "listen()", "action id")
        event = response_event(response, "listen()")
        transition = await context.ledger.deliver(action_id, context.name, event, f"listen:{context.name}")
        health.reached(context.clock.now_ms())
        return Delivery.LATE if transition.late else Delivery.TAKEN

    while True:
        pauses.begin()
        health.not_listening = None
        trouble = await call_adapter(
            lambda: instance.adapter.listen(deliver),
            _must_not_return,
            adapter=context.adapter_class,
            method="listen",
            system=context.name,
            limit_seconds=math.inf,
        )
        health.not_listening = health.last_error = f"not listening: {trouble.message}"
        seconds = max(pauses.next(), (trouble.retry_after_ms or 0) / 1000)
        log.warning("not listening", system=context.name, pause_seconds=seconds, error=trouble.message)
        await trio.sleep(seconds)


def _must_not_return(answer: object) -> NoReturn:
    raise RuntimeError("listen() returned; it has to run until it is cancelled")
