"""The callback listener: opening its addresses, accepting connections, draining."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from connectord.callbacks.connection import (
    DRAIN_READING_SECONDS,
    CallbackHandler,
    Connection,
    HttpService,
    Service,
)
from connectord.callbacks.door import Door, NewConnection, socket_address
from connectord.callbacks.limits import DEFAULTS, BadTokens, Limits
from connectord.callbacks.tokens import TokenKey
from connectord.errors import AddressUnusable
from connectord.measures import CallbackMeasures

_HIGHEST_PORT: Final = 65535

_ADVICE: Final = {
    errno.EADDRINUSE: "another program listens there; stop it, or take another port",
    errno.EADDRNOTAVAIL: "no network interface of this machine has that address; take one that it has, or 127.0.0.1",
    errno.EACCES: "the daemon's user may not use that port; take one from 1024 up",
    errno.EAFNOSUPPORT: "this machine does not speak that kind of address; take an IPv4 address",
}


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
    listeners: Sequence[trio.abc.Listener[trio.abc.HalfCloseableStream]],
    *,
    key: TokenKey,
    handler: CallbackHandler,
    limits: Callable[[], Limits] = DEFAULTS.in_force,
    now: Callable[[], float] = trio.current_time,
    address_of: Callable[[Any], tuple[str, int]] = socket_address,
    drain: trio.Event | None = None,
    measures: CallbackMeasures | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer callbacks on ``listeners``, which it closes in the end, until it is cancelled or drained.

    Once ``drain`` is set nothing more is accepted, idle connections are closed after a moment, and requests under way
    are answered with ``Connection: close``; it returns when the last of them is. One that is not there as a whole
    within :data:`DRAIN_READING_SECONDS` is answered with 503. How long a handler takes is the handler's affair: whoever
    drains sets a deadline. ``limits`` gives the limits in force, which may change; ``now`` gives seconds for counting
    bad tokens, and ``address_of`` the peer of a stream, to whom they are counted. Out of file descriptors, it goes on
    accepting when there are some again. Raises an
    ExceptionGroup of OSError when a listener breaks for good.
    """
    log: FilteringBoundLogger = structlog.get_logger("connectord.callbacks").bind()  # once: a lazy one binds per line
    service = Service(key, handler, limits, BadTokens(now), log, CallbackMeasures() if measures is None else measures)
    connect = partial(Connection, service=service)
    await serve_http(listeners, service, connect, address_of=address_of, drain=drain, task_status=task_status)


async def serve_http(
    listeners: Sequence[trio.abc.Listener[trio.abc.HalfCloseableStream]],
    service: HttpService,
    connect: NewConnection,
    *,
    address_of: Callable[[Any], tuple[str, int]] = socket_address,
    drain: trio.Event | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """As :func:`serve_callbacks`, whatever the connections that ``connect`` makes answer."""
    door = Door(service, connect, address_of)
    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            for listener in listeners:
                accepting.start_soon(door.let_in, listener, connections)
            accepting.start_soon(door.let_idle_go)
            task_status.started()
            if drain is not None:
                await drain.wait()
                accepting.cancel_scope.cancel()
        service.draining = True
        service.read_until = trio.current_time() + DRAIN_READING_SECONDS
        for connection in service.connections:
            connection.drain()
