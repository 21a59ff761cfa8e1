"""The transport that adapters' httpx clients run on."""

from __future__ import annotations

import ssl
from functools import partial

import httpx
import trio

from connectord.adapters import ExchangeLimits, WholeAnswer, WholeRequest
from connectord.http_out.bodies import Response, ResponseBody
from connectord.http_out.connection import Connection, Origin
from connectord.http_out.pool import Pool, TransportStatistics
from connectord.http_out.requests import HeadWriter
from connectord.http_out.tracing import Trace, observe
from connectord.http_out.watch import ExchangeWatch

_PORTS = {"http": 80, "https": 443}


class PooledTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 with one connection per request in flight, kept alive between requests.

    It sets no limit on the requests in flight, so the pool timeout never runs out; the limit is the lane's work.
    A request is sent once: nothing is retried here, not even on a connection that the server had just given up.
    A connection is used again only if its last response was read to the end, so a request that failed or was
    cancelled leaves nothing behind. For ``max_idle`` and ``keepalive_seconds`` see :class:`Pool`.

    Of a request's extensions it knows ``timeout``, ``trace``, ``sni_hostname`` and ``target``, as httpx's own
    transport does. ``connect_timeout_seconds`` (more than 0) applies to requests that bring no connect timeout.
    While ``watch`` runs, it is what ends exchanges whose time is up; otherwise each has a cancel scope.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext,
        connect_timeout_seconds: float,
        keepalive_seconds: float,
        max_idle: int,
        watch: ExchangeWatch | None = None,
    ) -> None:
        ssl_context.set_alpn_protocols(["http/1.1"])
        self._ssl_context = ssl_context
        self._connect_timeout_seconds = connect_timeout_seconds
        self._heads = HeadWriter()
        self._places = _Places()
        self._closed = False
        self._watch = ExchangeWatch() if watch is None else watch
        self._pool = Pool(keepalive_seconds=keepalive_seconds, max_idle=max_idle, limit=self._watch.limit)

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
        target = extensions.get("target") or request.url.raw_path
        head = self._heads.write(request.method, target, request.headers.raw)
        origin = _origin(request.url, extensions.get("sni_hostname"))
        connection, is_new = self._pool.take(origin, trio.current_time())
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
        return Response(
            ResponseBody(self._pool, connection, read_timeout),
            response.status,
            response.headers,
            {
                "http_version": b"HTTP/1.1" if response.http_version == "1.1" else b"HTTP/1.0",
                "reason_phrase": response.reason,
                "network_stream": connection,
            },
        )

    async def exchange(self, request: WholeRequest, limits: ExchangeLimits) -> WholeAnswer:
        """Send ``request`` once, and receive the whole answer (:class:`connectord.adapters.WholeExchanges`).

        Raises :class:`httpx.TransportError`, and :class:`RuntimeError` once the transport is closed.
        """
        if self._closed:
            raise RuntimeError("the transport is closed")
        now = trio.current_time()
        origin, target = self._places.find(request.url, request.sni_hostname)
        head = self._heads.write(request.method, target, request.headers)
        connection, is_new = self._pool.take(origin, now)
        body: bytes | None = None
        broken: httpx.TransportError | None = None
        head_ends_at = now + limits.head_seconds
        try:
            with self._watch.limit(connection, head_ends_at) as within:
                try:
                    if is_new:
                        await connection.open(self._ssl_context, timeout_seconds=limits.connect_seconds, trace=None)
                    await connection.send_whole(request.method, head, (request.content,), limits.read_seconds)
                    body = await connection.receive_whole(within, limits, head_ends_at)
                except httpx.TransportError as error:
                    broken = error
            if within.cancelled_caught:
                body, broken = None, _timed_out(connection, limits, head_ends_at)
            if broken is not None and not connection.response.has_head():
                raise broken
        except BaseException:
            self._pool.discard(connection)
            raise
        self._pool.give_back(connection)  # closes it where it was not read to the end
        return WholeAnswer(connection.response.status, connection.response.headers, body, broken)

    async def aclose(self) -> None:
        """Close every connection.

        Requests in flight fail with :class:`httpx.ReadError`, those that were still connecting with
        :class:`httpx.ConnectError`.
        """
        self._closed = True
        self._pool.close()


class _Places:
    """Where requests go. An adapter mostly has one URL: what it says is read again only for another one."""

    __slots__ = ("_origin", "_sni_hostname", "_target", "_url")

    def __init__(self) -> None:
        self._url: httpx.URL | None = None
        self._sni_hostname: str | None = None

    def find(self, url: httpx.URL, sni_hostname: str | None) -> tuple[Origin, bytes]:
        """Whom to connect to, and what to ask for."""
        if url is not self._url or sni_hostname != self._sni_hostname:
            self._origin = _origin(url, sni_hostname)
            self._target = url.raw_path
            self._url, self._sni_hostname = url, sni_hostname
        return self._origin, self._target


def _timed_out(connection: Connection, limits: ExchangeLimits, head_ends_at: float) -> httpx.ReadTimeout:
    if connection.response.has_head():
        return httpx.ReadTimeout("the body took too long")
    if trio.current_time() >= head_ends_at:
        return httpx.ReadTimeout("the head of the answer did not end")
    return httpx.ReadTimeout(f"nothing received for {limits.read_seconds:g} s")


def _origin(url: httpx.URL, sni_hostname: str | None) -> Origin:
    scheme = url.scheme
    if scheme not in _PORTS:
        raise httpx.UnsupportedProtocol(f"http:// and https:// are supported, {scheme}:// is not")
    host = url.raw_host.decode("ascii")
    if not host:
        raise httpx.UnsupportedProtocol("the request's URL has no host")
    return Origin(host, url.port or _PORTS[scheme], (sni_hostname or host) if scheme == "https" else None)
