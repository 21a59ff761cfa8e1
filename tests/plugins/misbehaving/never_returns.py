"""Waits for something that never comes."""

from __future__ import annotations

import trio
from connectord.adapters import Adapter, Call, Outcome
from connectord.hookspecs import RegisterAdapter, hookimpl


class NeverReturnsAdapter(Adapter):
    name = "never_returns"

    async def trigger(self, call: Call) -> Outcome:
        await trio.sleep_forever()  # at fault
        raise AssertionError


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(NeverReturnsAdapter)
