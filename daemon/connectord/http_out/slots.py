"""Stock httpx with a connection per request in flight, for what :class:`PooledTransport` does not speak: proxies.

httpx's own pool looks at every connection for every request: with 256 requests in flight on one client it does
a fortieth of what it does with one. :class:`SlottedTransport` gives every request in flight a pool of exactly
one connection, so that taking and giving back is O(1).
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import httpx
import trio

from connectord.http_out.idle import Idle
from connectord.http_out.pool import TransportStatistics

_Origin: TypeAlias = tuple[str, str, int | None, str | None]


class SlottedTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 with one connection per request in flight, kept alive between requests, through ``proxy`` if given.

    It sets no limit on the requests in flight; that is the lane's work. A request is sent once: nothing is
    retried here. A connection is used again only if its last answer was read to the end, so a request that
    failed or was cancelled leaves nothing behind. Of the idle ones the most recently used goes first; one that
    the server has closed meanwhile is noticed and replaced. At most ``max_idle`` (0 or more) are kept, each for
    ``keepalive_seconds``; those beyond are closed when the next answer has been read.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext,
        connect_timeout_seconds: float,
        keepalive_seconds: float,
        max_idle: int,
        proxy: str | None,
    ) -> None:
        self._ssl_context = ssl_context
        self._connect_timeout_seconds = connect_timeout_seconds
        self._proxy = None if proxy is None else _proxy(proxy, ssl_context)
        self._limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=keepalive_seconds)
        self._busy: set[_Slot] = set()
        self._idle: Idle[_Slot] = Idle(keepalive_seconds=keepalive_seconds, most=max_idle)
        self._closed = False

    def statistics(self) -> TransportStatistics:
        """What it is doing at this moment."""
        return TransportStatistics(busy=len(self._busy), idle=len(self._idle))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request`` on a connection of its own.

        Raises :class:`httpx.TransportError`, and :class:`RuntimeError` once the transport is closed.
        """
        if self._closed:
            raise RuntimeError("the transport is closed")
        timeouts = request.extensions.get("timeout", {})
        if timeouts.get("connect") is None:
            timeouts = {**timeouts, "connect": self._connect_timeout_seconds}
            request.extensions = {**request.extensions, "timeout": timeouts}
        if isinstance(request.stream, httpx.ByteStream):
            request.stream = _Body(request.content)
        handshake = _WatchedHandshake(request) if request.url.scheme == "https" else None
        url = request.url
        # one address may serve many names, and a connection was verified for one of them only
        slot = self._take((url.scheme, url.host, url.port, request.extensions.get("sni_hostname")))
        try:
            response = await slot.transport.handle_async_request(request)
        except BaseException:
            self._busy.discard(slot)
            with trio.CancelScope(shield=True):
                if handshake is not None:
                    await handshake.abandon()
                await slot.transport.aclose()
            raise
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous transport answers with an asynchronous stream")
        response.stream = _SlotStream(self, slot, response.stream)
        return response

    async def aclose(self) -> None:
        """Close every connection; requests in flight fail with :class:`httpx.ReadError`."""
        self._closed = True
        slots = [*self._idle, *self._busy]
        self._idle.clear()
        await _close(slots)

    def _take(self, origin: _Origin) -> _Slot:
        slot = self._idle.take(origin)
        if slot is None:
            # another origin's idle slot would only lose its connection, so it is left to its own
            transport = httpx.AsyncHTTPTransport(
                verify=self._ssl_context, trust_env=False, limits=self._limits, proxy=self._proxy
            )
            slot = _Slot(origin, transport)
        self._busy.add(slot)
        return slot

    async def _give_back(self, slot: _Slot, *, reusable: bool) -> None:
        self._busy.discard(slot)
        if self._closed or not reusable:
            await _close([slot])
            return
        now = time.monotonic()
        self._idle.put(slot, now)
        surplus = self._idle.take_surplus(now)
        if surplus:
            await _close(surplus)


class _Slot:
    """A pool of one connection."""

    __slots__ = ("idle_since", "origin", "transport")

    def __init__(self, origin: _Origin, transport: httpx.AsyncHTTPTransport) -> None:
        self.origin = origin
        self.transport = transport
        self.idle_since = 0.0


class _Body(httpx.AsyncByteStream):
    """A request's body in one piece.

    httpx's own is a generator, and one that is not run to its end, as when sending is cancelled, is left to the
    garbage collector, about which trio warns.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._sent = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._sent = False
        return self

    async def __anext__(self) -> bytes:
        if self._sent:
            raise StopAsyncIteration
        self._sent = True
        return self._content


class _SlotStream(httpx.AsyncByteStream):
    """An answer's body, which gives the slot back when it is closed.

    It is its own iterator rather than a generator, for the reason that :class:`_Body` is.
    """

    def __init__(self, transport: SlottedTransport, slot: _Slot, inner: httpx.AsyncByteStream) -> None:
        self._transport = transport
        self._slot: _Slot | None = slot
        self._inner = inner
        self._chunks: AsyncIterator[bytes] | None = None
        self._complete = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._chunks is None:
            self._chunks = aiter(self._inner)
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            self._complete = True
            raise

    async def aclose(self) -> None:
        slot, self._slot = self._slot, None
        if slot is None:
            return
        reusable = False
        # a slot that is lost to a cancellation would leave its connection open for ever
        with trio.CancelScope(shield=True):
            try:
                await self._inner.aclose()
                reusable = self._complete
            finally:
                await self._transport._give_back(slot, reusable=reusable)  # noqa: SLF001 - two halves of one thing


class _WatchedHandshake:
    """Remembers the TCP stream under a TLS handshake: httpcore drops it open if the handshake is cancelled."""

    def __init__(self, request: httpx.Request) -> None:
        self._stream: Any = None
        self._also = request.extensions.get("trace")
        request.extensions = {**request.extensions, "trace": self._trace}

    async def _trace(self, event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._stream = info["return_value"]
        elif event == "connection.start_tls.complete":
            self._stream = None
        if self._also is not None:
            await self._also(event, info)

    async def abandon(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()


async def _close(slots: list[_Slot]) -> None:
    with trio.CancelScope(shield=True):
        for slot in slots:
            await slot.transport.aclose()


def _proxy(url: str, ssl_context: ssl.SSLContext) -> httpx.Proxy:
    # httpcore refuses a context for a proxy that needs none
    return httpx.Proxy(url, ssl_context=ssl_context if httpx.URL(url).scheme == "https" else None)
