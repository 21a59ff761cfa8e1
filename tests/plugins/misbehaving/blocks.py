"""Blocks the event loop."""

from __future__ import annotations

import time

from connectord.adapters import Adapter, Call, Outcome, Taken
from connectord.hookspecs import RegisterAdapter, hookimpl


class BlocksAdapter(Adapter):
    name = "blocks"

    async def trigger(self, call: Call) -> Outcome:
        time.sleep(1.2)  # noqa: ASYNC251 - at fault
        return Taken()


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(BlocksAdapter)
