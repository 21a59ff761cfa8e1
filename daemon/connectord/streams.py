"""Connections that came in, and their listener, without a scheduling round for what does not block."""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import trio

from connectord.readiness import Readiness

_Socket: TypeAlias = socket.socket
_Wait: TypeAlias = Callable[[_Socket], Awaitable[None]]
_GONE = "the peer is gone"
# accept(2) tells so of a connection that broke before it was accepted, or of the network it came from
_BROKEN_BEFORE: Final = frozenset(
    {
        errno.EPERM, errno.ECONNABORTED, errno.ECONNRESET, errno.EPROTO, errno.ENETDOWN, errno.ENOPROTOOPT,
        errno.EHOSTDOWN, errno.ENONET, errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.ETIMEDOUT,
    }
)  # fmt: skip


class DirectStream(trio.abc.HalfCloseableStream):
    """A connected socket, out of trio's hands.

    trio's own stream asks the kernel before it waits, and lets everybody else have a turn after each send. Between two
    requests nothing has come yet, and an answer fits into the kernel's buffer: so this one waits first, and sends at
    once. Every receive is a checkpoint; a send is one only where it has to wait.
    """

    def __init__(self, connected: _Socket, peer: tuple[str, int] = ("", 0)) -> None:
        """Takes ``connected`` over; ``peer`` is the address and the port at its other end."""
        self.peer = peer
        self._socket = connected
        connected.setblocking(False)
        self._readiness = Readiness(connected)

    @property
    def socket(self) -> _Socket:
        """The socket, to ask the kernel about."""
        return self._socket

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What has come, at least one byte; none when the peer sends no more."""
        most = max_bytes or 65536
        while True:
            await self._readiness.wait()
            try:
                data = self._socket.recv(most)
            except BlockingIOError:
                self._readiness.drained()
                continue
            except OSError as error:
                raise self._broken() from error
            self._readiness.received(len(data), most)
            return data

    def send_nowait(self, data: bytes) -> bytes:
        """Hand over what the kernel takes at once, and give the rest."""
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            return data
        except OSError as error:
            raise self._broken() from error
        return data[sent:]

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send it; waits only where the kernel does not take it all."""
        rest = bytes(data)
        while rest := self.send_nowait(rest):
            await self._wait(trio.lowlevel.wait_writable)

    async def wait_send_all_might_not_block(self) -> None:
        await self._wait(trio.lowlevel.wait_writable)

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._broken() from error

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """At once; who waits for it gets :class:`trio.ClosedResourceError`."""
        if self._socket.fileno() >= 0:
            self._readiness.close()
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    async def _wait(self, ready: _Wait) -> None:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError(_GONE)
        await ready(self._socket)

    def _broken(self) -> trio.BrokenResourceError | trio.ClosedResourceError:
        return trio.ClosedResourceError(_GONE) if self._socket.fileno() < 0 else trio.BrokenResourceError(_GONE)


class DirectListener(trio.abc.Listener[DirectStream]):
    """A listening socket, TCP or Unix, out of trio's hands."""

    def __init__(self, listener: trio.SocketListener) -> None:
        """Takes the socket away from ``listener``."""
        self._socket = socket.socket(fileno=listener.socket.detach())
        self._socket.setblocking(False)
        self._has_ports = self._socket.family != socket.AF_UNIX
        if self._has_ports:
            # what is accepted inherits it
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)

    async def accept(self) -> DirectStream:
        """The next connection; a checkpoint only where there is none yet.

        Raises OSError, where the system has no more descriptors or memory for one, or the listener is broken.
        """
        while True:
            if self._socket.fileno() < 0:
                raise trio.ClosedResourceError("the listener was closed")
            try:
                connected, peer = self._socket.accept()
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._socket)
            except OSError as error:
                if error.errno not in _BROKEN_BEFORE:
                    raise
                await trio.lowlevel.checkpoint()
            else:
                return DirectStream(connected, peer[:2]) if self._has_ports else DirectStream(connected)

    async def aclose(self) -> None:
        """Accept nothing more."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
        await trio.lowlevel.checkpoint()


async def close_now(stream: trio.abc.AsyncResource) -> None:
    """Close it without a goodbye; a checkpoint only where the stream is somebody else's."""
    if isinstance(stream, DirectStream):
        stream.close()
    else:
        await trio.aclose_forcefully(stream)
