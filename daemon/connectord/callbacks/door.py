"""Who gets in: connections are limited in all and for each address, and what waits longest makes room.

A connection that does nothing costs its peer nothing, so whoever wants to keep others out would only have to open
enough of them. Therefore a full house does not refuse whoever comes next: it drops a connection that waits, first
those that never brought a good token, the oldest first. Only where every connection is at work is one refused.
"""

from __future__ import annotations

import resource
import traceback
from collections import defaultdict
from collections.abc import Collection
from typing import Final

import trio

from connectord.callbacks import answers
from connectord.callbacks.addresses import group_of, is_within, read_address
from connectord.callbacks.connection import Connection, Service

_SECONDS_BETWEEN_WARNINGS: Final = 10.0


class Door:
    """Lets connections in, up to the limits."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._by_address: defaultdict[str, set[Connection]] = defaultdict(set)
        self._refused = 0
        self._dropped = 0
        self._next_warning = float("-inf")
        # the rest is for attempts, the store and the control socket
        self._most = max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

    async def welcome(self, stream: trio.SocketStream) -> None:
        """Serve one accepted connection. Nothing that goes wrong with it may end the listener."""
        service = self._service
        try:
            host, port = stream.socket.getpeername()[:2]
        except OSError:
            await trio.aclose_forcefully(stream)
            return  # the peer is gone already
        limits = service.limits
        address = read_address(host)
        trusted = address is not None and is_within(address, limits.trusted_proxies)
        group = host if address is None else group_of(address)
        # a trusted proxy stands for all its clients
        if not trusted and not self._has_room(self._by_address[group], limits.max_connections_per_address):
            await self._refuse(stream, group)
            return
        if not self._has_room(service.connections, min(limits.max_connections, self._most)):
            await self._refuse(stream, group)
            return
        connection = Connection(stream, service, address=group, port=port, trusted_proxy=trusted)
        service.connections.add(connection)
        self._by_address[group].add(connection)
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
            self._forget(connection, group)

    def _has_room(self, connections: Collection[Connection], limit: int) -> bool:
        """Whether one more may come in, after one that waits was dropped where it is tight."""
        if len(connections) < limit:
            return True
        waiting = [one for one in connections if one.is_waiting]
        if not waiting:
            return False
        one = min(waiting, key=lambda one: (one.proven, one.waiting_since))
        one.drop()
        self._dropped += 1
        self._warn()
        # its own task comes to closing it later, and its place is free now
        self._forget(one, one.address)
        return len(connections) < limit

    def _forget(self, connection: Connection, group: str) -> None:
        self._service.connections.discard(connection)
        of_address = self._by_address.get(group)
        if of_address is not None:
            of_address.discard(connection)
            if not of_address:
                del self._by_address[group]

    def _warn(self) -> None:
        now = trio.current_time()
        if now < self._next_warning:  # a flood of connections must not become a flood of log lines
            return
        self._next_warning = now + _SECONDS_BETWEEN_WARNINGS
        limits = self._service.limits
        self._service.log.warning(
            "callback_connections_exhausted",
            limit=min(limits.max_connections, self._most),
            limit_per_address=limits.max_connections_per_address,
            refused_since_last=self._refused,
            dropped_since_last=self._dropped,
        )
        self._refused = self._dropped = 0

    async def _refuse(self, stream: trio.SocketStream, group: str) -> None:
        if not self._by_address[group]:
            del self._by_address[group]
        self._refused += 1
        self._warn()
        with trio.move_on_after(self._service.limits.write_timeout_seconds):
            try:
                await stream.send_all(answers.TOO_MANY_CONNECTIONS.closing)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # closed already, as it would be now
