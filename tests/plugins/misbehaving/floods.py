"""Makes very many log lines and background tasks, and returns rubbish after all that."""

from __future__ import annotations

import structlog
import trio
from connectord.adapters import Adapter, Call, Outcome
from connectord.hookspecs import RegisterAdapter, hookimpl


class FloodsAdapter(Adapter):
    name = "floods"

    async def trigger(self, call: Call) -> Outcome:
        log = structlog.get_logger()
        async with trio.open_nursery() as nursery:
            for number in range(5_000):
                nursery.start_soon(trio.sleep, 0.01)
                log.info("flood", number=number)
        raise OSError("drowned")  # at fault


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(FloodsAdapter)
