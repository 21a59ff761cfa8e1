"""One connection to one origin, and the exchange that it carries."""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import NamedTuple, Protocol, Self, TypeAlias

import httpx
import trio

from connectord.adapters import ExchangeLimits
from connectord.http_out.requests import RequestHead, check_length, chunk_of, fitting
from connectord.http_out.responses import ResponseParser
from connectord.http_out.sockets import Socket
from connectord.http_out.tracing import Trace, observe

_CLOSED = "the transport was closed"


class Origin(NamedTuple):
    """Where a connection leads; ``server_hostname`` is whose certificate it was checked against, None without TLS."""

    host: str
    port: int
    server_hostname: str | None


class TimeLimit(Protocol):
    """What an exchange is done within: a cancel scope, or a watched exchange (``watch``)."""

    @property
    def deadline(self) -> float:
        """On trio's clock; may be moved."""
        ...

    @deadline.setter
    def deadline(self, deadline: float, /) -> None: ...

    @property
    def cancelled_caught(self) -> bool:
        """Whether the exchange was ended because its time was up."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


MakeTimeLimit: TypeAlias = "Callable[[Connection, float], TimeLimit]"
"""For what is done on a connection until a deadline on trio's clock."""


class Connection:
    """Opened once, then one exchange after the other, then closed.

    An exchange is :meth:`send`, :meth:`receive_head`, and :meth:`receive_body` until it gives nothing. Whoever is
    interrupted in one of them closes the connection: what is on the wire then is nobody's.
    """

    __slots__ = ("_connecting", "_limit", "_request_is_out", "_socket", "closed", "idle_since", "origin", "response")

    def __init__(self, origin: Origin, limit: MakeTimeLimit) -> None:
        """``limit`` makes what the receiving of a response is done within."""
        self.origin = origin
        self._limit = limit
        self.idle_since = 0.0
        self.response = ResponseParser()
        self.closed = False
        self._socket: Socket | None = None
        self._connecting: trio.CancelScope | None = None
        self._request_is_out = False

    async def open(self, context: ssl.SSLContext, *, timeout_seconds: float, trace: Trace | None) -> None:
        """Connect, and shake hands if the origin has TLS; ``timeout_seconds`` is for both together.

        Raises :class:`httpx.ConnectError` and :class:`httpx.ConnectTimeout`.
        """
        try:
            with _at_most(timeout_seconds) as self._connecting:
                await self._open(context, trace)
        except (OSError, ValueError, trio.ClosedResourceError) as error:  # ValueError: a name that cannot be one
            raise httpx.ConnectError(_CLOSED if self.closed else str(error)) from error
        if self.closed:
            raise httpx.ConnectError(_CLOSED)
        if self._connecting.cancelled_caught:
            raise httpx.ConnectTimeout(f"not connected after {timeout_seconds:g} s")
        self._connecting = None

    async def _open(self, context: ssl.SSLContext, trace: Trace | None) -> None:
        host, port, server_hostname = self.origin

        async def connect_tcp() -> Socket:
            stream = await trio.open_tcp_stream(host, port)
            self._socket = Socket(socket.socket(fileno=stream.socket.detach()))
            return self._socket

        async def start_tls() -> None:
            await connected.start_tls(context, server_hostname or host)

        connected = await observe(trace, "connection.connect_tcp", connect_tcp, host=host, port=port)
        if server_hostname is not None:
            await observe(trace, "connection.start_tls", start_tls, server_hostname=server_hostname)

    async def send(self, request: httpx.Request, head: RequestHead, timeout_seconds: float | None) -> None:
        """Send a request, or as much of it as the server wants to have.

        A server that answers with an error, or closes, before it has everything gets no more of it; what it has
        said is in the response. So this fails only with :class:`httpx.WriteTimeout` when a piece of it is not
        taken in time, :class:`httpx.LocalProtocolError` when the body is not as long as announced, and
        :class:`httpx.RemoteProtocolError` when what comes back meanwhile is no response.
        """
        body = request.stream
        if isinstance(body, httpx.ByteStream):
            await self.send_whole(request.method, head, iter(body), timeout_seconds)
            return
        self.response.expect(head_only=request.method == "HEAD")
        self._request_is_out = False
        if isinstance(body, httpx.AsyncByteStream):
            is_out = await self._send(head.data, timeout_seconds) and await self._stream(body, head, timeout_seconds)
        else:
            raise TypeError("an asynchronous transport needs an asynchronous request body")
        self._request_is_out = is_out and not head.closes

    async def send_whole(
        self, method: str, head: RequestHead, body: Iterable[bytes], timeout_seconds: float | None
    ) -> None:
        """As :meth:`send`, with a body that is there."""
        self.response.expect(head_only=method == "HEAD")
        self._request_is_out = False
        self._request_is_out = await self._send(head.data + fitting(body, head), timeout_seconds) and not head.closes

    async def _stream(self, body: httpx.AsyncByteStream, head: RequestHead, timeout_seconds: float | None) -> bool:
        sent = 0
        chunks = aiter(body)
        try:
            async for chunk in chunks:
                sent += len(chunk)
                if not head.chunked:
                    check_length(sent, head, complete=False)
                if self._is_answered():
                    return False
                if not await self._send(chunk_of(chunk) if head.chunked else chunk, timeout_seconds):
                    return False
        finally:
            # httpx's streams are generators, which trio does not like to be left to the collector
            aclose = getattr(chunks, "aclose", None)
            if aclose is not None:
                await aclose()
        if head.chunked:
            return await self._send(b"0\r\n\r\n", timeout_seconds)
        check_length(sent, head, complete=True)
        return True

    async def _send(self, data: bytes, timeout_seconds: float | None) -> bool:
        """Whether the server took it all and may get more."""
        try:
            sent = self._connected.send_nowait(data)
            return sent == len(data) or await self._send_slowly(memoryview(data)[sent:], timeout_seconds)
        except (OSError, trio.ClosedResourceError):
            # an answer may have come before the break; if not, receiving says what is broken
            return False

    async def _send_slowly(self, rest: memoryview, timeout_seconds: float | None) -> bool:
        with _at_most(timeout_seconds):
            while rest:
                if self._is_answered():
                    return False
                if self.response.status:
                    await self._connected.wait_writable()
                else:
                    await self._connected.wait_writable_or_readable()
                rest = rest[self._connected.send_nowait(rest) :]
            return True
        raise httpx.WriteTimeout(f"not sent after {timeout_seconds:g} s")

    def _is_answered(self) -> bool:
        """Look at what came while the request is still on its way; whether that makes the rest of it pointless."""
        response = self.response
        try:
            while not response.status:
                data = self._connected.receive_nowait()
                if data is None:
                    break
                if not data:
                    return True
                response.feed(data)
        except OSError:
            return True
        # while a success is still being told the server may well be reading
        return response.status >= 300 or response.complete

    async def receive_head(self, timeout_seconds: float | None) -> None:
        """Receive until the final response's head is complete.

        Raises :class:`httpx.ReadTimeout` when nothing comes for ``timeout_seconds``, :class:`httpx.ReadError` and
        :class:`httpx.RemoteProtocolError`.
        """
        if not self.response.has_head():
            await self._receive(timeout_seconds, self.response.has_head)

    async def receive_body(self, timeout_seconds: float | None) -> bytes:
        """The next piece of the response's body; empty when it is complete. Raises as :meth:`receive_head`."""
        response = self.response
        if not response.has_news():
            await self._receive(timeout_seconds, response.has_news)
        return response.take_body()

    async def _receive(self, timeout_seconds: float | None, is_enough: Callable[[], bool]) -> None:
        if self.closed:
            raise httpx.ReadError(_CLOSED)
        within = self._limit(self, math.inf if timeout_seconds is None else trio.current_time() + timeout_seconds)
        try:
            with within:
                while True:
                    await self._receive_some()
                    if is_enough():
                        return
                    if timeout_seconds is not None:
                        within.deadline = trio.current_time() + timeout_seconds
        except httpx.ReadError:
            # a watched exchange is ended by closing its connection
            if not within.cancelled_caught:
                raise
        raise httpx.ReadTimeout(f"nothing received for {timeout_seconds:g} s")

    async def receive_whole(self, within: TimeLimit, limits: ExchangeLimits, head_ends_at: float) -> bytes | None:
        """Receive the head and the body: the body, or None if it is too long.

        Moves the deadline of ``within``, in which it is called, from limit to limit. Raises as :meth:`receive_head`.
        """
        if self.closed:
            raise httpx.ReadError(_CLOSED)
        response, silence = self.response, limits.read_seconds
        while not response.has_head():
            within.deadline = min(trio.current_time() + silence, head_ends_at)
            await self._receive_some()
        if response.complete:
            body = response.take_body()
            return body if len(body) <= limits.body_bytes else None
        ends_at = trio.current_time() + limits.body_seconds
        pieces, size = [response.take_body()], 0
        while (size := size + len(pieces[-1])) <= limits.body_bytes:
            if response.is_read():
                return b"".join(pieces)
            within.deadline = min(trio.current_time() + silence, ends_at)
            await self._receive_some()
            pieces.append(response.take_body())
        return None

    async def _receive_some(self) -> None:
        try:
            data = await self._connected.receive()
        except (OSError, trio.ClosedResourceError) as error:
            raise httpx.ReadError(_CLOSED if self.closed else str(error)) from error
        if data:
            self.response.feed(data)
        else:
            self.response.feed_end()

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent: everything was sent and received, and nobody said otherwise."""
        return self.response.is_read() and self.response.reusable and self._request_is_out and not self.closed

    def is_quiet(self) -> bool:
        """Whether an idle connection is still as it was left: the server has not closed it, and said nothing."""
        return self._connected.is_quiet()

    def get_extra_info(self, info: str) -> object:
        """Facts about the connection, as httpcore's ``network_stream`` tells them; None once it is closed."""
        return None if self.closed or self._socket is None else self._socket.get_extra_info(info)

    def close(self) -> None:
        """At once, and in whatever state; a task in one of the methods fails with their errors."""
        self.closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._socket is not None:
            self._socket.close()

    @property
    def _connected(self) -> Socket:
        if self._socket is None:
            raise RuntimeError("the connection is not open")
        return self._socket


def _at_most(seconds: float | None) -> trio.CancelScope:
    return trio.CancelScope(deadline=math.inf if seconds is None else trio.current_time() + seconds)
