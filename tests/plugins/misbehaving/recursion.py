"""Recurses without end, in its code or in its data."""

from __future__ import annotations

from typing import Any

from connectord.adapters import Adapter, Call, Outcome, Succeeded
from connectord.hookspecs import RegisterAdapter, hookimpl


class RecursionAdapter(Adapter):
    name = "recursion"

    async def trigger(self, call: Call) -> Outcome:  # data is at fault here
        if call.data["where"] == "code":
            return await self.trigger(call)  # at fault
        data: dict[str, Any] = {}
        if call.data["where"] == "cycle":
            data["again"] = data
            return Succeeded(data)
        for _ in range(100_000):
            data = {"deeper": data}
        return Succeeded(data)


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(RecursionAdapter)
