"""Connections by origin: taking one and giving it back take the same time however many there are."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import trio

from connectord.http_out.connection import Connection, Origin


@dataclass(frozen=True, slots=True)
class TransportStatistics:
    """How many of a transport's connections carry a request, and how many wait for one."""

    busy: int
    idle: int


class Pool:
    """Busy and idle connections.

    Of an origin's idle ones the most recently used goes first, so that the others can grow old. At most
    ``max_idle`` (0 or more) are kept, of all origins together, each for ``keepalive_seconds``; those beyond are
    closed, the longest idle first, when the next one is given back.
    """

    def __init__(self, *, keepalive_seconds: float, max_idle: int) -> None:
        self._keepalive_seconds = keepalive_seconds
        self._max_idle = max_idle
        self._busy: set[Connection] = set()
        self._idle: dict[Origin, deque[Connection]] = {}
        self._by_age: dict[Connection, None] = {}  # the idle ones again, the longest idle first
        self._closed = False

    def statistics(self) -> TransportStatistics:
        """What is busy and idle at this moment."""
        return TransportStatistics(busy=len(self._busy), idle=len(self._by_age))

    def take(self, origin: Origin) -> tuple[Connection, bool]:
        """A connection that is busy from now on, and whether it is a new one, which is not open yet.

        A server that closes an idle connection is noticed here, as far as it can be: what it has sent is looked
        at, what is still on its way cannot be.
        """
        idle = self._idle.get(origin)
        expired_before = trio.current_time() - self._keepalive_seconds
        while idle:
            connection = idle.pop()
            if not idle:
                del self._idle[origin]
            del self._by_age[connection]
            if connection.idle_since >= expired_before and connection.is_quiet():
                self._busy.add(connection)
                return connection, False
            connection.close()
        connection = Connection(origin)
        self._busy.add(connection)
        return connection, True

    def give_back(self, connection: Connection) -> None:
        """A busy connection whose response has been read or given up: it is kept or closed."""
        self._busy.discard(connection)
        if self._closed or not connection.reusable:
            connection.close()
            return
        connection.idle_since = now = trio.current_time()
        idle = self._idle.get(connection.origin)
        if idle is None:
            idle = self._idle[connection.origin] = deque()
        idle.append(connection)
        self._by_age[connection] = None
        self._close_surplus(now - self._keepalive_seconds)

    def discard(self, connection: Connection) -> None:
        """Close a busy connection."""
        self._busy.discard(connection)
        connection.close()

    def close(self) -> None:
        """Close everything; what is given back from now on is closed."""
        self._closed = True
        for connection in [*self._by_age, *self._busy]:
            connection.close()
        self._by_age.clear()
        self._idle.clear()

    def _close_surplus(self, expired_before: float) -> None:
        while self._by_age:
            oldest = next(iter(self._by_age))
            if len(self._by_age) <= self._max_idle and oldest.idle_since >= expired_before:
                break
            del self._by_age[oldest]
            same_origin = self._idle[oldest.origin]
            same_origin.popleft()  # the oldest of all is the oldest of its origin
            if not same_origin:
                del self._idle[oldest.origin]
            oldest.close()
