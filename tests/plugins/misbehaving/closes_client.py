"""Closes its HTTP client, and goes on to use it."""

from __future__ import annotations

import httpx
from connectord.adapters import Adapter, Call, Outcome, Taken
from connectord.hookspecs import RegisterAdapter, hookimpl


class ClosesClientAdapter(Adapter):
    name = "closes_client"

    async def open(self) -> None:
        transport = self.context.network.http_transport(connect_timeout_seconds=5)
        self._client = httpx.AsyncClient(transport=transport)

    async def trigger(self, call: Call) -> Outcome:
        await self._client.aclose()
        await self._client.post("http://127.0.0.1:9/")  # at fault
        return Taken()


@hookimpl
def connectord_register_adapters(register: RegisterAdapter) -> None:
    register(ClosesClientAdapter)
