"""The transport that adapters' httpx clients run on."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx

from connectord.http_out.connection import Connection, Origin
from connectord.http_out.pool import Pool, TransportStatistics
from connectord.http_out.requests import HeadWriter
from connectord.http_out.tracing import Trace, observe

_PORTS = {"http": 80, "https": 443}


class PooledTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 with one connection per request in flight, kept alive between requests.

    It sets no limit on the requests in flight, so the pool timeout never runs out; the limit is the lane's work.
    A request is sent once: nothing is retried here, not even on a connection that the server had just given up.
    A connection is used again only if its last response was read to the end, so a request that failed or was
    cancelled leaves nothing behind. For ``max_idle`` and ``keepalive_seconds`` see :class:`Pool`.

    Of a request's extensions it knows ``timeout``, ``trace``, ``sni_hostname`` and ``target``, as httpx's own
    transport does. ``connect_timeout_seconds`` (more than 0) applies to requests that bring no connect timeout.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext,
        connect_timeout_seconds: float,
        keepalive_seconds: float,
        max_idle: int,
    ) -> None:
        ssl_context.set_alpn_protocols(["http/1.1"])
        self._ssl_context = ssl_context
        self._connect_timeout_seconds = connect_timeout_seconds
        self._pool = Pool(keepalive_seconds=keepalive_seconds, max_idle=max_idle)
        self._heads = HeadWriter()
        self._closed = False

    def statistics(self) -> TransportStatistics:
        """What it is doing at this moment."""
        return self._pool.statistics()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request`` and receive the head of its response.

        Raises :class:`httpx.TransportError`, and :class:`RuntimeError` once the transport is closed.
        """
        if self._closed:
            raise RuntimeError("the transport is closed")
        extensions = request.extensions
        timeouts: dict[str, float | None] = extensions.get("timeout", {})
        trace: Trace | None = extensions.get("trace")
        head = self._heads.write(request)
        connection, is_new = self._pool.take(_origin(request))
        read_timeout = timeouts.get("read")
        try:
            if is_new:
                connect_timeout = timeouts.get("connect")
                if connect_timeout is None:
                    connect_timeout = self._connect_timeout_seconds
                await connection.open(self._ssl_context, timeout_seconds=connect_timeout, trace=trace)
            if trace is None:
                await connection.send(request, head, timeouts.get("write"))
                await connection.receive_head(read_timeout)
            else:
                send = partial(connection.send, request, head, timeouts.get("write"))
                await observe(trace, "http11.send_request", send, request=request)
                receive_head = partial(connection.receive_head, read_timeout)
                await observe(trace, "http11.receive_response_headers", receive_head, request=request)
        except BaseException:
            self._pool.discard(connection)
            raise
        response = connection.response
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_ResponseBody(self._pool, connection, read_timeout),
            extensions={
                "http_version": b"HTTP/1.1" if response.http_version == "1.1" else b"HTTP/1.0",
                "reason_phrase": response.reason,
                "network_stream": connection,
            },
        )

    async def aclose(self) -> None:
        """Close every connection.

        Requests in flight fail with :class:`httpx.ReadError`, those that were still connecting with
        :class:`httpx.ConnectError`.
        """
        self._closed = True
        self._pool.close()


class _ResponseBody(httpx.AsyncByteStream):
    """A response's body, which gives the connection back when it is closed.

    It is its own iterator: a generator that is not run to its end is left to the garbage collector, about which
    trio warns.
    """

    __slots__ = ("_connection", "_pool", "_timeout_seconds")

    def __init__(self, pool: Pool, connection: Connection, timeout_seconds: float | None) -> None:
        self._pool = pool
        self._connection: Connection | None = connection
        self._timeout_seconds = timeout_seconds

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        connection = self._connection
        if connection is None:
            raise httpx.ReadError("the response is closed")
        try:
            data = await connection.receive_body(self._timeout_seconds)
        except BaseException:
            self._connection = None
            self._pool.discard(connection)
            raise
        if data:
            return data
        raise StopAsyncIteration

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(connection)


def _origin(request: httpx.Request) -> Origin:
    url = request.url
    scheme = url.scheme
    if scheme not in _PORTS:
        raise httpx.UnsupportedProtocol(f"http:// and https:// are supported, {scheme}:// is not")
    host = url.raw_host.decode("ascii")
    if not host:
        raise httpx.UnsupportedProtocol("the request's URL has no host")
    server_hostname: Any = (request.extensions.get("sni_hostname") or host) if scheme == "https" else None
    return Origin(host, url.port or _PORTS[scheme], server_hostname)
