"""Recurses without end, in its code or in its data."""

from __future__ import annotations

from typing import Any

from connectord.adapters import Adapter, Call, Outcome, Succeeded
from connectord.hookspecs import RegisterAdapter, hookimpl


class RecursionAdapter(Adapter):
    name = "recursion"

    async def trigger(self, call: Call) -> Outcome:  # data is at fault here
        if call.data["where"] == "code":
            return await self._recurse()
        data: dict[str, Any] = {}
        if call.data["where"] == "cycle":
            data["again"] = data
            return Succeeded(data)
        for _ in range(100_000):
            data = {"deeper": data}
        return Succeeded(data)

    async def _recurse(self) -> Outcome:
        # nothing else stands on the way down, so it is this line that goes too deep
        return await self._recurse()  # at fault


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(RecursionAdapter)
