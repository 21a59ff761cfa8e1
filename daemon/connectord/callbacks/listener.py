"""The callback listener: opening its addresses, accepting connections, draining."""

from __future__ import annotations

import errno
import socket
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from connectord.callbacks import answers
from connectord.callbacks.connection import (
    DRAIN_READING_SECONDS,
    CallbackHandler,
    Connection,
    HttpConnection,
    HttpService,
    Service,
)
from connectord.callbacks.limits import BadTokens, Limits
from connectord.callbacks.tokens import TokenKey
from connectord.errors import AddressUnusable
from connectord.measures import CallbackMeasures

_HIGHEST_PORT: Final = 65535
_SECONDS_BETWEEN_WARNINGS: Final = 10.0
_REFUSED_BYTES: Final = 64 * 1024

_ADVICE: Final = {
    errno.EADDRINUSE: "another program listens there; stop it, or take another port",
    errno.EADDRNOTAVAIL: "no network interface of this machine has that address; take one that it has, or 127.0.0.1",
    errno.EACCES: "the daemon's user may not use that port; take one from 1024 up",
    errno.EAFNOSUPPORT: "this machine does not speak that kind of address; take an IPv4 address",
}


class NewConnection(Protocol):
    """Makes what serves an accepted connection, which came from ``address``."""

    def __call__(self, stream: trio.SocketStream, *, address: str, port: int) -> HttpConnection[Any]: ...


async def open_callback_listeners(
    host: str, port: int, *, setting: str = "callbacks.bind"
) -> list[trio.SocketListener]:
    """Listen on every address that ``host`` stands for; ``port`` is 0 (any free one) to 65535.

    ``setting`` is the key in connectord.toml that names the address.

    Raises :class:`AddressUnusable`, which says what to change, and leaves none of them open then.
    """
    where = f"{setting}: {f'[{host}]' if ':' in host else host}:{port}"
    if not 0 <= port <= _HIGHEST_PORT:
        raise AddressUnusable(f"{where}: the port must be from 0 to {_HIGHEST_PORT}")
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except socket.gaierror as error:
        raise AddressUnusable(
            f"{where}: the host name cannot be resolved ({error.strerror}); take an address"
        ) from error
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "take another address")
        raise AddressUnusable(f"{where}: cannot listen ({error.strerror}): {advice}") from error


async def serve_callbacks(
    listeners: Sequence[trio.abc.Listener[trio.SocketStream]],
    *,
    key: TokenKey,
    handler: CallbackHandler,
    limits: Limits | None = None,
    now: Callable[[], float] = trio.current_time,
    drain: trio.Event | None = None,
    measures: CallbackMeasures | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer callbacks on ``listeners``, which it closes in the end, until it is cancelled or drained.

    Once ``drain`` is set nothing more is accepted, idle connections are closed after a moment, and requests under way
    are answered with ``Connection: close``; it returns when the last of them is. One that is not there as a whole
    within :data:`DRAIN_READING_SECONDS` is answered with 503. How long a handler takes is the handler's affair: whoever
    drains sets a deadline. ``now`` gives seconds for counting bad tokens. Out of file descriptors, it goes on
    accepting when there are some again. Raises an
    ExceptionGroup of OSError when a listener breaks for good.
    """
    limits = limits or Limits()
    log: FilteringBoundLogger = structlog.get_logger("connectord.callbacks").bind()  # once: a lazy one binds per line
    bad_tokens = BadTokens(limits.bad_tokens_per_minute, now)
    service = Service(key, handler, limits, bad_tokens, log, CallbackMeasures() if measures is None else measures)
    await serve_http(listeners, service, partial(Connection, service=service), drain=drain, task_status=task_status)


async def serve_http(
    listeners: Sequence[trio.abc.Listener[trio.SocketStream]],
    service: HttpService,
    connect: NewConnection,
    *,
    drain: trio.Event | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """As :func:`serve_callbacks`, whatever the connections that ``connect`` makes answer."""
    door = _Door(service, connect)
    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:

            async def accept() -> None:
                patient = [_PatientListener(listener, door) for listener in listeners]
                await trio.serve_listeners(door.welcome, patient, handler_nursery=connections)

            accepting.start_soon(accept)
            task_status.started()
            if drain is not None:
                await drain.wait()
                accepting.cancel_scope.cancel()
        service.draining = True
        service.read_until = trio.current_time() + DRAIN_READING_SECONDS
        for connection in service.connections:
            connection.drain()


class _Door:
    """Lets connections in, up to the limit."""

    def __init__(self, service: HttpService, connect: NewConnection) -> None:
        self._service = service
        self._connect = connect
        self._refused = 0
        self._next_warning = float("-inf")
        self._freed = trio.lowlevel.ParkingLot()
        self._saturated = False

    async def wait_for_place(self) -> None:
        """Leave who comes in the kernel's queue while all places are taken, for a moment.

        After a restart hundreds may be in it that have waited already, and a place is free again in milliseconds.
        """
        limits = self._service.limits
        # who was let in last has been counted by now
        await trio.lowlevel.checkpoint()
        if self._is_full and not self._saturated:
            with trio.move_on_after(limits.place_patience_seconds):
                while self._is_full:
                    await self._freed.park()
        self._saturated = self._is_full

    @property
    def _is_full(self) -> bool:
        return len(self._service.connections) >= self._service.limits.max_connections

    async def welcome(self, stream: trio.SocketStream) -> None:
        """Serve one accepted connection. Nothing that goes wrong with it may end the listener."""
        service = self._service
        if self._is_full:
            await self._refuse(stream)
            return
        try:
            address, port = stream.socket.getpeername()[:2]
        except OSError:
            return  # the peer is gone already
        connection = self._connect(stream, address=address, port=port)
        service.connections.add(connection)
        try:
            await connection.serve()
        except Exception as error:  # noqa: BLE001 - a bug, and it ends this connection only
            # Without the error's message and without exc_info, as either could show the token.
            service.log.error(
                "callback_connection_failed",
                error=type(error).__name__,
                where="".join(traceback.format_tb(error.__traceback__)),
            )
        finally:
            service.connections.discard(connection)
            self._freed.unpark()

    async def _refuse(self, stream: trio.SocketStream) -> None:
        self._refused += 1
        now = trio.current_time()
        if now >= self._next_warning:  # a flood of connections must not become a flood of log lines
            self._next_warning = now + _SECONDS_BETWEEN_WARNINGS
            self._service.log.warning(
                "callback_connections_exhausted",
                limit=self._service.limits.max_connections,
                refused_since_last=self._refused,
            )
            self._refused = 0
        with trio.move_on_after(self._service.limits.linger_timeout_seconds):
            try:
                await stream.send_all(answers.TOO_MANY_CONNECTIONS.closing)
                # closing with unread bytes resets the connection, and takes the answer away from who has sent already
                await stream.send_eof()
                await stream.receive_some(_REFUSED_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # closed already, as it would be now


class _PatientListener(trio.abc.Listener[trio.SocketStream]):
    """Accepts when there is a place, or when it has waited long enough for one."""

    def __init__(self, listener: trio.abc.Listener[trio.SocketStream], door: _Door) -> None:
        self._listener = listener
        self._door = door

    async def accept(self) -> trio.SocketStream:
        await self._door.wait_for_place()
        return await self._listener.accept()

    async def aclose(self) -> None:
        await self._listener.aclose()
