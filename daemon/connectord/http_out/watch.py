"""When exchanges have to be over: one timer for all of them.

A cancel scope for each costs more than reading its answer. Here an exchange has a number that says when its time is
up, and one task looks who is late. Closing the connection of one wakes whoever waits on it.
"""

from __future__ import annotations

import math
from typing import Final, Self

import trio

from connectord.http_out.connection import Connection, TimeLimit

_SECONDS_BETWEEN_LOOKS: Final = 0.01


class WatchedExchange:
    """An exchange under way that the watch ends. To be entered, as the cancel scope in whose place it stands."""

    __slots__ = ("_deadline", "_watch", "cancelled_caught", "connection")

    def __init__(self, watch: ExchangeWatch, connection: Connection, deadline: float) -> None:
        self.connection = connection
        self.cancelled_caught = False
        """Whether its time was up, and its connection was closed for that."""
        self._watch = watch
        self._deadline = deadline

    @property
    def deadline(self) -> float:
        """When its time is up, on trio's clock."""
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: float) -> None:
        self._deadline = deadline
        self._watch.look_at(deadline)

    def __enter__(self) -> Self:
        self._watch.begin(self)
        return self

    def __exit__(self, *raised: object) -> None:
        self._watch.end(self)


class ExchangeWatch:
    """Closes the connections of exchanges whose time is up, while :meth:`run` runs."""

    def __init__(self) -> None:
        self._under_way: set[WatchedExchange] = set()
        self._last_look = -math.inf
        self._sleep: trio.CancelScope | None = None

    @property
    def is_running(self) -> bool:
        """Whether anybody looks."""
        return self._sleep is not None

    def limit(self, connection: Connection, deadline: float) -> TimeLimit:
        """What an exchange on ``connection`` is to be done within: watched, or a scope where nobody looks."""
        if self.is_running:
            return WatchedExchange(self, connection, deadline)
        return trio.CancelScope(deadline=deadline)

    def begin(self, watched: WatchedExchange) -> None:
        """Watch it from now on."""
        self._under_way.add(watched)
        self.look_at(watched.deadline)

    def end(self, watched: WatchedExchange) -> None:
        """It is over."""
        self._under_way.discard(watched)

    def look_at(self, deadline: float) -> None:
        """Look then, if not before."""
        if self._sleep is not None and deadline < self._sleep.deadline:
            self._sleep.deadline = max(deadline, self._last_look + _SECONDS_BETWEEN_LOOKS)

    async def run(self) -> None:
        """Look whenever somebody's time may be up. Runs until cancelled."""
        try:
            while True:
                now = self._last_look = trio.current_time()
                next_look = max(self._end_late_ones(now), now + _SECONDS_BETWEEN_LOOKS)
                with trio.CancelScope(deadline=next_look) as self._sleep:
                    await trio.sleep_forever()
        finally:
            self._sleep = None

    def _end_late_ones(self, now: float) -> float:
        """Close what is late; when the next one will be."""
        next_end = math.inf
        for watched in self._under_way:
            if watched.cancelled_caught:
                continue  # its task has not come round to ending it
            if watched.deadline <= now:
                watched.cancelled_caught = True
                watched.connection.close()
            else:
                next_end = min(next_end, watched.deadline)
        return next_end
