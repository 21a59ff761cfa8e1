"""Who wants to hear of every change: one ring of the newest changes, and a place in it for every watcher.

A watcher that comes from further back reads pages of the history until it has reached the ring. Nobody waits for a
watcher: one that falls behind the ring while it listens is cut off, and goes on where it was when it asks again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import trio

from connectord.errors import NotInHistory, WatcherTooSlow
from connectord.store.base import ChangeFilters, HistoryPage, HistoryRow

RING = 4096
"""How many of the newest changes are in memory while anybody watches, and how far behind a watcher may fall."""

PAGE = 500
"""How many rows a watcher reads from the store at once."""

SPAN = 2000
"""How many rows the store looks through for one page, so that a filter that matches seldom holds up no other reader."""

CHUNK = 64
"""How many rows a watcher takes out of the ring at once."""

ReadPage: TypeAlias = Callable[[int, int, int], Awaitable[HistoryPage]]
"""Reads what matches of the history: after a number, up to a number, at most so many rows."""


class Watchers:
    """The newest changes, for everybody who watches. ``newest`` is the number of the newest change at start."""

    def __init__(self, newest: int, *, ring: int = RING) -> None:
        self.newest = newest
        """The number of the newest change that was published; 0 where there is none."""
        self.ring_size = ring
        self._before_last = newest
        self._ring: deque[HistoryRow] = deque(maxlen=ring)
        self._watching = 0
        self._published = trio.lowlevel.ParkingLot()

    def publish(self, rows: Sequence[HistoryRow]) -> None:
        """Tell the next rows of the history to all watchers, without waiting for any."""
        if not rows:
            return
        self._before_last, self.newest = self.newest, rows[-1].seq
        if self._watching:
            self._ring.extend(rows)
            self._published.unpark_all()

    @contextmanager
    def subscribe(self, after: int | None, filters: ChangeFilters, read: ReadPage) -> Iterator[Watcher]:
        """A watcher of everything after the number ``after``, or of everything from now on.

        Raises :class:`NotInHistory` where there has been no such number yet.
        """
        if after is not None and after > self.newest:
            raise NotInHistory(
                f"there is no change {after} yet: the newest is {self.newest}; watch after it, or without a number",
                self.newest,
            )
        self._watching += 1
        try:
            yield Watcher(self, self.newest if after is None else after, filters, read)
        finally:
            self._watching -= 1
            if not self._watching:
                self._ring.clear()  # it is not filled while nobody watches

    def holds(self, position: int) -> bool:
        """Whether everything after ``position`` is in the ring."""
        return position >= (self._ring[0].seq - 1 if self._ring else self.newest)

    def is_too_slow(self, position: int) -> bool:
        """Whether who is at ``position`` had fallen behind the ring before the newest commit.

        One commit may be larger than the ring: who had kept up until then is not to blame for it.
        """
        return position < self._before_last - self.ring_size

    def after(self, position: int, limit: int) -> list[HistoryRow]:
        """Up to ``limit`` rows of the ring after ``position``, which it holds."""
        if not self._ring:
            return []
        first = position + 1 - self._ring[0].seq
        return [self._ring[index] for index in range(first, min(first + limit, len(self._ring)))]

    async def wait(self) -> None:
        """Wait until something is published."""
        await self._published.park()


class Watcher:
    """One reader of the changes. It costs a place in their order, however far behind it is."""

    def __init__(self, watchers: Watchers, position: int, filters: ChangeFilters, read: ReadPage) -> None:
        self._watchers = watchers
        self._position = position
        self._filters = filters
        self._read = read
        self._from_store = not watchers.holds(position)

    async def next_rows(self) -> Sequence[HistoryRow]:
        """The next rows that match, at least one. To be called by one task.

        Raises :class:`WatcherTooSlow`, or :class:`NotInHistory` where what comes next is not kept any more.
        """
        await trio.lowlevel.checkpoint()
        while True:
            rows = await (self._page() if self._from_store else self._live())
            if rows:
                return rows

    async def _live(self) -> Sequence[HistoryRow]:
        watchers = self._watchers
        if not watchers.holds(self._position):
            if watchers.is_too_slow(self._position):
                raise WatcherTooSlow(self._position)
            self._from_store = True
            return ()
        rows = watchers.after(self._position, CHUNK)
        if not rows:
            await watchers.wait()
            return ()
        self._position = rows[-1].seq
        return [row for row in rows if self._filters.match(row)]

    async def _page(self) -> Sequence[HistoryRow]:
        watchers = self._watchers
        # not at the ring's very end: it would be behind it before its first row is told
        if watchers.holds(self._position) and watchers.newest - self._position <= watchers.ring_size // 2:
            self._from_store = False
            return ()
        # never further than what is published, so that nobody knows of a number that is refused as too new
        upto = min(self._position + SPAN, watchers.newest)
        page = await self._read(self._position, upto, PAGE)
        oldest = watchers.newest + 1 if page.oldest is None else page.oldest
        if oldest > self._position + 1:
            raise NotInHistory(
                f"the history after change {self._position} is not kept any more: the oldest change that can be had "
                f"is {oldest}; watch after {oldest - 1} to go on from there",
                oldest - 1,
            )
        self._position = page.rows[-1].seq if len(page.rows) == PAGE else upto
        return page.rows
