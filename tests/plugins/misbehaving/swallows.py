"""Swallows every cancellation and goes on."""

from __future__ import annotations

import trio
from connectord.adapters import Adapter, Call, Outcome
from connectord.hookspecs import RegisterAdapter, hookimpl


class SwallowsAdapter(Adapter):
    name = "swallows"

    async def trigger(self, call: Call) -> Outcome:
        while True:
            try:  # noqa: SIM105 - at its worst
                await trio.sleep(0.2)  # at fault
            except trio.Cancelled:
                pass


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(SwallowsAdapter)
