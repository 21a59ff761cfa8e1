"""The way out: HTTP transports that stay fast with many requests in flight.

httpcore's pool looks at every connection for every idle one, so one client with hundreds of requests in flight
collapses. Here every request in flight has a transport with one connection of its own, and the idle ones lie on a
stack: taking one and putting it back costs the same however many there are.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import httpx

KEEPALIVE_SECONDS = 30.0


class SystemNetwork:
    """The real network; a :class:`connectord.adapters.Network`."""

    def http_transport(self, *, connect_timeout_seconds: float, verify: bool = True) -> httpx.AsyncBaseTransport:
        # the connect timeout itself travels with each request, as httpx does it
        return SlottedTransport(verify=verify)


class SlottedTransport(httpx.AsyncBaseTransport):
    """A transport of one-connection transports. ``max_idle`` bounds how many are kept for later."""

    def __init__(self, *, verify: bool = True, max_idle: int = 64) -> None:
        self._context: ssl.SSLContext = httpx.create_ssl_context(verify=verify, trust_env=False)
        self._max_idle = max_idle
        self._idle: list[httpx.AsyncHTTPTransport] = []
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        slot = self._idle.pop() if self._idle else self._new_slot()
        try:
            response = await slot.handle_async_request(request)
        except BaseException:
            # httpcore has closed the connection; the slot itself is as good as new
            await self.put_back(slot)
            raise
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError("the transport's response has no asynchronous body")
        return httpx.Response(
            status_code=response.status_code,
            headers=response.headers,
            stream=_SlotStream(response.stream, slot, self),
            extensions=response.extensions,
        )

    async def put_back(self, slot: httpx.AsyncHTTPTransport) -> None:
        """Keep the slot for the next request, or close it where enough are kept."""
        if self._closed or len(self._idle) >= self._max_idle:
            await slot.aclose()
        else:
            self._idle.append(slot)

    async def aclose(self) -> None:
        self._closed = True
        idle, self._idle = self._idle, []
        for slot in idle:
            await slot.aclose()

    def _new_slot(self) -> httpx.AsyncHTTPTransport:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS)
        return httpx.AsyncHTTPTransport(verify=self._context, limits=limits, trust_env=False)


class _SlotStream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, slot: httpx.AsyncHTTPTransport, owner: SlottedTransport) -> None:
        self._stream = stream
        self._slot: httpx.AsyncHTTPTransport | None = slot
        self._owner = owner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        slot, self._slot = self._slot, None
        if slot is None:
            return
        try:
            await self._stream.aclose()
        finally:
            await self._owner.put_back(slot)
