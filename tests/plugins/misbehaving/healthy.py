"""An adapter that does what it should."""

from __future__ import annotations

from connectord.adapters import Adapter, Call, Outcome, Succeeded
from connectord.hookspecs import RegisterAdapter, hookimpl


class HealthyAdapter(Adapter):
    name = "healthy"

    async def trigger(self, call: Call) -> Outcome:
        return Succeeded({"attempt": call.attempt})


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(HealthyAdapter)
