"""Keeps a cancellation of its own and raises it when nobody waits for it."""

from __future__ import annotations

import trio
from connectord.adapters import Adapter, Call, Outcome
from connectord.hookspecs import RegisterAdapter, hookimpl


class StaleCancelAdapter(Adapter):
    name = "stale_cancel"

    async def trigger(self, call: Call) -> Outcome:
        kept: list[trio.Cancelled] = []
        with trio.move_on_after(0):
            try:
                await trio.sleep_forever()  # at fault
            except trio.Cancelled as cancelled:
                kept.append(cancelled)
                raise
        raise kept[0]


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(StaleCancelAdapter)
