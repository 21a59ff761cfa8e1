"""Returns hundreds of MiB."""

from __future__ import annotations

from connectord.adapters import Adapter, Call, Outcome, Rejected, Succeeded
from connectord.hookspecs import RegisterAdapter, hookimpl


class HugeResponseAdapter(Adapter):
    name = "huge_response"

    async def trigger(self, call: Call) -> Outcome:  # at fault
        match call.data["where"]:
            case "reason":
                return Rejected(reason="x" * 300_000_000)
            case "text":
                return Succeeded({"text": "x" * 300_000_000})
            case "list":
                return Succeeded({"list": [0] * 50_000_000})
            case _:
                raise OSError("x" * 300_000_000)


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(HugeResponseAdapter)
