"""Raises what no adapter should, as the action's data says."""

from __future__ import annotations

import builtins

from connectord.adapters import Adapter, Call, Outcome
from connectord.hookspecs import RegisterAdapter, hookimpl


class RaisesAdapter(Adapter):
    name = "raises"

    async def trigger(self, call: Call) -> Outcome:
        raise getattr(builtins, call.data["error"])("out of the adapter")  # at fault


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(RaisesAdapter)
