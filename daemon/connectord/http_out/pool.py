"""Connections by origin: taking one and giving it back take the same time however many there are."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from connectord.http_out.connection import Connection, MakeTimeLimit, Origin
from connectord.http_out.idle import Idle


@dataclass(frozen=True, slots=True)
class TransportStatistics:
    """How many of a transport's connections carry a request, and how many wait for one."""

    busy: int
    idle: int


class Pool:
    """Busy and idle connections.

    At most ``max_idle`` (0 or more) idle ones are kept, of all origins together, each for ``keepalive_seconds``; those
    beyond are closed, the longest idle first, when the next one is given back. ``limit`` is for :class:`Connection`.
    """

    def __init__(self, *, keepalive_seconds: float, max_idle: int, limit: MakeTimeLimit) -> None:
        self._limit = limit
        self._busy: set[Connection] = set()
        self._idle: Idle[Connection] = Idle(keepalive_seconds=keepalive_seconds, most=max_idle)
        self._closed = False

    def statistics(self) -> TransportStatistics:
        """What is busy and idle at this moment."""
        return TransportStatistics(busy=len(self._busy), idle=len(self._idle))

    def take(self, origin: Origin, now: float) -> tuple[Connection, bool]:
        """A connection that is busy from ``now`` on, and whether it is a new one, which is not open yet.

        A server that closes an idle connection is noticed here, as far as it can be: what it has sent is looked
        at, what is still on its way cannot be.
        """
        while (connection := self._idle.take(origin)) is not None:
            if self._idle.is_fresh(connection, now) and connection.is_quiet():
                self._busy.add(connection)
                return connection, False
            connection.close()
        connection = Connection(origin, self._limit)
        self._busy.add(connection)
        return connection, True

    def give_back(self, connection: Connection) -> None:
        """A busy connection whose response has been read or given up: it is kept or closed."""
        self._busy.discard(connection)
        if self._closed or not connection.reusable:
            connection.close()
            return
        now = trio.current_time()
        self._idle.put(connection, now)
        for surplus in self._idle.take_surplus(now):
            surplus.close()

    def discard(self, connection: Connection) -> None:
        """Close a busy connection."""
        self._busy.discard(connection)
        connection.close()

    def close(self) -> None:
        """Close everything; what is given back from now on is closed."""
        self._closed = True
        for connection in [*self._idle, *self._busy]:
            connection.close()
        self._idle.clear()
