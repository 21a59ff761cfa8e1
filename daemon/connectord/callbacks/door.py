"""Who gets in: connections are limited in all and for each address, and what waits longest makes room.

A connection that does nothing costs its peer nothing, so whoever wants to keep others out would only have to open
enough of them. Therefore a full house drops one that has waited for a while, first those that never brought a good
token, the oldest first. Where there is none, who comes waits for a moment: after a restart hundreds may come at once
that have waited already, and a place is free again in milliseconds. Only then is one refused.
"""

from __future__ import annotations

import resource
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from typing import Any, Final, Protocol

import trio

from connectord.accepting import accept_patiently
from connectord.callbacks import answers
from connectord.callbacks.addresses import group_of, is_within, read_address
from connectord.callbacks.connection import HttpConnection, HttpService
from connectord.streams import DirectListener, DirectStream, close_now

_SECONDS_BETWEEN_WARNINGS: Final = 10.0
_SECONDS_BETWEEN_LOOKS: Final = 0.1  # at those that are idle: the end of each could be a time of its own
_REFUSED_BYTES: Final = 64 * 1024


class NewConnection(Protocol):
    """Makes what serves an accepted connection; ``address`` is what its peer is counted under."""

    def __call__(
        self, stream: trio.abc.HalfCloseableStream, *, address: str, port: int, trusted_proxy: bool
    ) -> HttpConnection[Any]: ...


def socket_address(stream: DirectStream) -> tuple[str, int]:
    """The address and the port at the other end of an accepted connection."""
    return stream.peer


class Door:
    """Lets connections in, up to the limits. ``address_of`` is asked who is at the other end of a stream."""

    def __init__(
        self,
        service: HttpService,
        connect: NewConnection,
        address_of: Callable[[Any], tuple[str, int]] = socket_address,
    ) -> None:
        self._service = service
        self._address_of = address_of
        self._connect = connect
        self._by_address: defaultdict[str, set[HttpConnection[Any]]] = defaultdict(set)
        self._queueing: Counter[str] = Counter()
        self._arriving = 0
        """How many were accepted whose tasks have not run yet."""
        self._refused = 0
        self._dropped = 0
        self._next_warning = float("-inf")
        self._freed = trio.lowlevel.ParkingLot()
        self._saturated = False
        # the rest is for attempts, the store and the control socket
        self._most = max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

    async def let_in(
        self, listener: trio.abc.Listener[trio.abc.HalfCloseableStream], connections: trio.Nursery
    ) -> None:
        """Accept what comes to ``listener``, which it closes in the end, and serve it in ``connections``.

        Out of file descriptors or memory it goes on when there are some again; raises OSError for anything worse.
        """
        if isinstance(listener, trio.SocketListener):
            listener = DirectListener(listener)
        async with listener:
            while True:
                await self._wait_for_place()
                stream = await accept_patiently(
                    listener, lambda error: self._service.log.warning("callback_accept_failed", error=str(error))
                )
                self._arriving += 1
                connections.start_soon(self._welcome, stream)

    async def let_idle_go(self) -> None:
        """Close what no request came on for as long as it may be idle. Runs until cancelled.

        One timer for all of them: moving one for each request costs as much as reading the request.
        """
        while True:
            now = trio.current_time()
            limit = self._service.limits.idle_timeout_seconds
            next_end = now + limit
            for connection in self._service.connections:
                if connection.is_idle:
                    end = connection.waiting_since + limit
                    if end <= now:
                        connection.drop()
                    else:
                        next_end = min(next_end, end)
            await trio.sleep_until(max(next_end, now + _SECONDS_BETWEEN_LOOKS))

    async def _wait_for_place(self) -> None:
        """Leave who comes in the kernel's queue for a moment, while all places are taken and none can be freed."""
        # whoever has come to its end has left its place by now
        await trio.lowlevel.checkpoint()
        # one that waits makes room before the time is up, so it is worth it each time
        if self._is_full and (not self._saturated or any(one.is_waiting for one in self._service.connections)):
            with trio.move_on_after(self._service.limits.place_patience_seconds):
                while self._is_full:
                    await self._freed.park()
        self._saturated = self._is_full

    @property
    def _is_full(self) -> bool:
        connections = self._service.connections
        if len(connections) + self._queueing.total() + self._arriving < self._limit:
            return False
        return self._longest_waiting(connections) is None

    @property
    def _limit(self) -> int:
        return min(self._service.limits.max_connections, self._most)

    async def _welcome(self, stream: trio.abc.HalfCloseableStream) -> None:
        """Serve one accepted connection, and close it. Nothing that goes wrong with it may end the listener."""
        self._arriving -= 1
        try:
            await self._serve(stream)
        finally:
            await close_now(stream)

    async def _serve(self, stream: trio.abc.HalfCloseableStream) -> None:
        service = self._service
        host, port = self._address_of(stream)
        address = read_address(host)
        # a trusted proxy stands for all its clients
        trusted = address is not None and is_within(address, service.limits.trusted_proxies)
        group = host if address is None else group_of(address)
        if not (trusted or await self._wait_for_place_of(group)) or not await self._wait_for_waiting(group):
            await self._refuse(stream)
            return
        connection = self._connect(stream, address=group, port=port, trusted_proxy=trusted)
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

    async def _wait_for_place_of(self, group: str) -> bool:
        """Whether one more of an address may come in; no more wait for that than may be in."""
        most = self._service.limits.max_connections_per_address

        def of_address() -> Collection[HttpConnection[Any]]:
            return self._by_address.get(group, ())

        if self._has_room(of_address(), most):
            return True
        if self._queueing[group] >= most or len(self._service.connections) + self._queueing.total() >= self._limit:
            return False
        await self._queue(group, lambda: len(of_address()) < most)
        return self._has_room(of_address(), most)

    async def _wait_for_waiting(self, group: str) -> bool:
        """Whether one more may come in, at once or as soon as one that waits has done so for long enough."""
        connections = self._service.connections
        if self._has_room(connections, self._limit):
            return True
        if not any(one.is_waiting for one in connections):
            return False
        await self._queue(group, lambda: len(connections) < self._limit)
        return self._has_room(connections, self._limit)

    async def _queue(self, group: str, is_free: Callable[[], bool]) -> None:
        self._queueing[group] += 1
        try:
            with trio.move_on_after(self._service.limits.place_patience_seconds):
                while not is_free():
                    await self._freed.park()
        finally:
            self._queueing[group] -= 1
            if not self._queueing[group]:
                del self._queueing[group]

    def _has_room(self, connections: Collection[HttpConnection[Any]], limit: int) -> bool:
        """Whether one more may come in, after one that waits was dropped where it is tight."""
        if len(connections) < limit:
            return True
        one = self._longest_waiting(connections)
        if one is None:
            return False
        one.drop()
        self._dropped += 1
        self._warn()
        # its own task comes to closing it later, and its place is free now
        self._forget(one, one.address)
        return len(connections) < limit

    def _longest_waiting(self, connections: Collection[HttpConnection[Any]]) -> HttpConnection[Any] | None:
        """The one that makes room; who came a moment ago may have sent a request that is not read yet."""
        before = trio.current_time() - self._service.limits.place_patience_seconds
        waiting = (one for one in connections if one.is_waiting and one.waiting_since <= before)
        return min(waiting, key=lambda one: (one.proven, one.waiting_since), default=None)

    def _forget(self, connection: HttpConnection[Any], group: str) -> None:
        self._service.connections.discard(connection)
        of_address = self._by_address.get(group)
        if of_address is not None:
            of_address.discard(connection)
            if not of_address:
                del self._by_address[group]
        self._freed.unpark_all()

    def _warn(self) -> None:
        now = trio.current_time()
        if now < self._next_warning:  # a flood of connections must not become a flood of log lines
            return
        self._next_warning = now + _SECONDS_BETWEEN_WARNINGS
        self._service.log.warning(
            "callback_connections_exhausted",
            limit=self._limit,
            limit_per_address=self._service.limits.max_connections_per_address,
            refused_since_last=self._refused,
            dropped_since_last=self._dropped,
        )
        self._refused = self._dropped = 0

    async def _refuse(self, stream: trio.abc.HalfCloseableStream) -> None:
        self._refused += 1
        self._warn()
        with trio.move_on_after(self._service.limits.linger_timeout_seconds):
            try:
                await stream.send_all(answers.TOO_MANY_CONNECTIONS.closing)
                # closing with unread bytes resets the connection, and takes the answer away from who has sent already
                await stream.send_eof()
                await stream.receive_some(_REFUSED_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # closed already, as it would be now
