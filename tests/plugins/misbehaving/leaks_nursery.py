"""Opens a nursery by hand and leaves it open, with a task that fails later."""

from __future__ import annotations

import trio
from connectord.adapters import Adapter, Call, Outcome, Taken
from connectord.hookspecs import RegisterAdapter, hookimpl


class LeaksNurseryAdapter(Adapter):
    name = "leaks_nursery"

    async def trigger(self, call: Call) -> Outcome:
        nursery = await trio.open_nursery().__aenter__()
        nursery.start_soon(self._fail)
        return Taken()  # at fault

    async def _fail(self) -> None:
        await trio.sleep(0.2)
        raise ValueError("in the background")


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(LeaksNurseryAdapter)
