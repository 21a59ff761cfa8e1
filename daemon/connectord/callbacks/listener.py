"""The callback listener: opening its addresses, accepting connections, draining."""

from __future__ import annotations

import errno
import socket
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from connectord.callbacks import answers
from connectord.callbacks.connection import CallbackHandler, Connection, Service
from connectord.callbacks.limits import BadTokens, Limits
from connectord.callbacks.tokens import TokenKey
from connectord.errors import AddressUnusable

_HIGHEST_PORT: Final = 65535
_SECONDS_BETWEEN_WARNINGS: Final = 10.0

_ADVICE: Final = {
    errno.EADDRINUSE: "another program listens there; stop it, or take another port",
    errno.EADDRNOTAVAIL: "no network interface of this machine has that address; take one that it has, or 127.0.0.1",
    errno.EACCES: "the daemon's user may not use that port; take one from 1024 up",
    errno.EAFNOSUPPORT: "this machine does not speak that kind of address; take an IPv4 address",
}


async def open_callback_listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Listen on every address that ``host`` stands for; ``port`` is 0 (any free one) to 65535.

    Raises :class:`AddressUnusable`, which says what to change, and leaves none of them open then.
    """
    where = f"callbacks.bind: {f'[{host}]' if ':' in host else host}:{port}"
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


def socket_address(stream: trio.SocketStream) -> tuple[str, int]:
    """The address and the port at the other end. Raises OSError where the peer is gone already."""
    address, port = stream.socket.getpeername()[:2]
    return address, port


async def serve_callbacks(
    listeners: Sequence[trio.abc.Listener[trio.abc.HalfCloseableStream]],
    *,
    key: TokenKey,
    handler: CallbackHandler,
    limits: Limits | None = None,
    now: Callable[[], float] = trio.current_time,
    address_of: Callable[[Any], tuple[str, int]] = socket_address,
    drain: trio.Event | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer callbacks on ``listeners``, which it closes in the end, until it is cancelled or drained.

    Once ``drain`` is set nothing more is accepted, idle connections are closed, and requests under way are answered
    with ``Connection: close``; it returns when the last of them is. How long a handler takes is the handler's affair:
    whoever drains sets a deadline. ``now`` gives seconds for counting bad tokens, and ``address_of`` the peer of a
    stream, to whom they are counted. Out of file descriptors, it goes on accepting when there are some again. Raises an
    ExceptionGroup of OSError when a listener breaks for good.
    """
    limits = limits or Limits()
    log: FilteringBoundLogger = structlog.get_logger("connectord.callbacks").bind()  # once: a lazy one binds per line
    service = Service(key, handler, limits, BadTokens(limits.bad_tokens_per_minute, now), log)
    door = _Door(service, address_of)
    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:

            async def accept() -> None:
                await trio.serve_listeners(door.welcome, list(listeners), handler_nursery=connections)

            accepting.start_soon(accept)
            task_status.started()
            if drain is not None:
                await drain.wait()
                accepting.cancel_scope.cancel()
        service.draining = True
        for connection in service.connections:
            connection.drain()


class _Door:
    """Lets connections in, up to the limit."""

    def __init__(self, service: Service, address_of: Callable[[Any], tuple[str, int]]) -> None:
        self._service = service
        self._address_of = address_of
        self._refused = 0
        self._next_warning = float("-inf")

    async def welcome(self, stream: trio.abc.HalfCloseableStream) -> None:
        """Serve one accepted connection. Nothing that goes wrong with it may end the listener."""
        service = self._service
        if len(service.connections) >= service.limits.max_connections:
            await self._refuse(stream)
            return
        try:
            address, port = self._address_of(stream)
        except OSError:
            return  # the peer is gone already
        connection = Connection(stream, service, address=address, port=port)
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

    async def _refuse(self, stream: trio.abc.HalfCloseableStream) -> None:
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
        with trio.move_on_after(self._service.limits.write_timeout_seconds):
            try:
                await stream.send_all(answers.TOO_MANY_CONNECTIONS.closing)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # closed already, as it would be now
