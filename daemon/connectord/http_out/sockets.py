"""A connected socket, with or without TLS, that is used without a scheduling round for what does not block.

trio's own streams pass through the scheduler with every send and every receive, also where the kernel could have
taken or given the bytes at once; here only a real wait does.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from connectord.readiness import Readiness

RECEIVE_BYTES = 64 * 1024
"""At most this many bytes are received at a time: more than a TLS record has, so that nothing stays with OpenSSL."""

_WOULD_READ = (BlockingIOError, ssl.SSLWantReadError)


class Socket:
    """A non-blocking stream socket and what it costs to wait for it.

    :class:`OSError` (and so :class:`ssl.SSLError`) is raised where the connection is broken, and
    :class:`trio.ClosedResourceError` where it is closed by another task.
    """

    __slots__ = ("_poll", "_readiness", "_socket", "_tls")

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._tls: ssl.SSLSocket | None = None
        self._readiness = Readiness(connected)
        self._take(connected)

    def _take(self, connected: socket.socket) -> None:
        self._socket = connected
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)

    async def start_tls(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """Shake hands as a client; what is wrong with the certificate is an :class:`ssl.SSLError`."""
        tls = context.wrap_socket(
            self._socket, server_hostname=server_hostname, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )
        self._tls = tls
        self._take(tls)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(tls)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(tls)
            else:
                return

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Hand over what the kernel takes at once: how many bytes that was, possibly none."""
        sent = 0
        while sent < len(data):
            try:
                sent += self._socket.send(memoryview(data)[sent:] if sent else data)
            except (*_WOULD_READ, ssl.SSLWantWriteError):
                break
            if self._tls is None:
                break  # the kernel took what it had room for; TLS goes record by record
        return sent

    async def receive(self) -> bytes:
        """What has arrived, at least one byte; none when the peer sends no more."""
        while True:
            await self._readiness.wait()
            try:
                return self._receive()
            except _WOULD_READ:
                self._readiness.drained()
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._socket)

    def receive_nowait(self) -> bytes | None:
        """As :meth:`receive`, but None if nothing has arrived."""
        if self.is_quiet():
            return None
        try:
            return self._receive()
        except (*_WOULD_READ, ssl.SSLWantWriteError):
            return None  # half a record, or a session ticket

    def _receive(self) -> bytes:
        data = self._socket.recv(RECEIVE_BYTES)
        if self._tls is None:  # OpenSSL gives a record at most, whatever else has come
            self._readiness.received(len(data), RECEIVE_BYTES)
        return data

    async def wait_writable(self) -> None:
        """Until the kernel takes more."""
        await trio.lowlevel.wait_writable(self._socket)

    async def wait_writable_or_readable(self) -> None:
        """Until the kernel takes more, or something has arrived, or this is closed."""

        async def wait(wait_for: Callable[[socket.socket], Awaitable[None]]) -> None:
            # it may have been closed before this task came to run
            if self._socket.fileno() >= 0:
                with suppress(trio.ClosedResourceError):
                    await wait_for(self._socket)
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, trio.lowlevel.wait_readable)
            nursery.start_soon(wait, trio.lowlevel.wait_writable)

    def is_quiet(self) -> bool:
        """Whether the peer has neither sent anything nor closed its side since the last receive."""
        return not self._poll.poll(0)

    def get_extra_info(self, info: str) -> object:
        """What httpcore's streams tell under the same names, None for what is not known."""
        match info:
            case "ssl_object":
                return self._tls
            case "socket":
                return self._socket
            case "client_addr":
                return self._socket.getsockname()
            case "server_addr":
                return self._socket.getpeername()
            case "is_readable":
                return not self.is_quiet()
            case _:
                return None

    def close(self) -> None:
        """At once, and once; tasks that wait for it get :class:`trio.ClosedResourceError`."""
        if self._socket.fileno() < 0:
            return
        self._readiness.close()
        trio.lowlevel.notify_closing(self._socket)
        if self._tls is not None:
            # says goodbye if the kernel takes it; the peer's goodbye is not waited for
            with suppress(OSError, ValueError):
                self._tls.unwrap()
        self._socket.close()
