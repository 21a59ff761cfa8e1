"""Swallows every cancellation and goes on."""

from __future__ import annotations

import trio
from connectord.adapters import Adapter, Call, Outcome
from connectord.hookspecs import RegisterAdapter, hookimpl


class SwallowsAdapter(Adapter):
    name = "swallows"

    async def trigger(self, call: Call) -> Outcome:
        while True:
            try:
                await trio.sleep(0.2)  # at fault
            except trio.Cancelled:
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.05)


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(SwallowsAdapter)
