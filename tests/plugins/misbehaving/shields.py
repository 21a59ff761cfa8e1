"""Does not let itself be cancelled."""

from __future__ import annotations

import trio
from connectord.adapters import Adapter, Call, Outcome
from connectord.hookspecs import RegisterAdapter, hookimpl


class ShieldsAdapter(Adapter):
    name = "shields"

    async def trigger(self, call: Call) -> Outcome:
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()  # at fault
        raise AssertionError


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(ShieldsAdapter)
