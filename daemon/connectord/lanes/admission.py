"""Who may call the system next: ``concurrency`` and ``rate``, shared by attempts and polls so that neither starves.

Each of the two may use all there is while the other wants nothing. While both want more than there is, polls have a
quarter, and at least one; attempts, probes among them, have the rest. Where there is but one, they take turns.

Among attempts it is the same: retries may use everything, and while actions that were never tried are due, too, they
have the share that ``retry.budget`` says, and at least one. The ramp after an outage limits attempts on top of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import trio

from connectord.config import Rate
from connectord.lanes.ramp import Ramp
from connectord.lanes.rate import Kind, RateWindow

POLLS_SHARE = 4
"""Polls have one part in so many."""


def free_for_attempts(total: int, attempts: int, polls: int, *, contended: bool, polls_came_last: bool) -> int:
    """How many more attempts may begin of ``total``; ``contended`` says that a poll wants to begin too."""
    free = max(total - attempts - polls, 0)
    if contended:
        if total == 1:
            return free if polls_came_last else 0
        free -= max(_polls_share(total) - polls, 0)
    return max(free, 0)


def free_for_polls(total: int, attempts: int, polls: int, *, contended: bool, polls_came_last: bool) -> int:
    """How many more polls may begin of ``total``; ``contended`` says that an attempt wants to begin too."""
    free = max(total - attempts - polls, 0)
    if contended:
        if total == 1:
            return 0 if polls_came_last else free
        free = min(free, _polls_share(total) - polls)
    return max(free, 0)


def share_of_retries(total: int, budget: float, retries: int, *, retry_came_last: bool) -> int:
    """How many more retries may begin of ``total`` before those that were never tried; ``retries`` have begun.

    With the whole as their budget retries always come first, and with none of it always last.
    """
    if 0 < budget < 1:
        if total == 1:
            return 0 if retry_came_last else 1
        return max(max(int(total * budget), 1) - retries, 0)
    return max(total - retries, 0) if budget else 0


def _polls_share(total: int) -> int:
    return max(total // POLLS_SHARE, 1)


@dataclass(slots=True)
class _Party:
    """What the attempts, or the polls, of a lane have of its places."""

    under_way: int = 0
    reserved: int = 0
    """Places held while the ledger is asked what is due."""
    waits: bool = False
    """Whether one is due, or may be, that has no place."""


class Admission:
    """The places and the rate of one lane, and who waits for them.

    Whoever wants to begin something reserves places first, asks the ledger what is due, and gives back what it does
    not need: two who ask at the same time never begin more than there is room for.
    """

    def __init__(self, concurrency: int, rate: Rate | None, retry_budget: float = 0.5) -> None:
        self.ramp = Ramp()
        self._attempts = _Party()
        self._polls = _Party()
        self._retries_under_way = 0
        self._polls_came_last = False
        self._retry_came_last = False
        self._waiting = trio.lowlevel.ParkingLot()
        self._window: RateWindow | None = None
        self.configure(concurrency, rate, retry_budget)

    def configure(self, concurrency: int, rate: Rate | None, retry_budget: float = 0.5) -> None:
        """Go on with other limits; what has begun under the old ones ends, and counts for the new rate, too."""
        self.concurrency = concurrency
        self._retry_budget = retry_budget
        if rate is None:
            self._window = None
        elif self._window is None:
            self._window = RateWindow(rate.count, rate.per_ms / 1000)
        else:
            self._window.configure(rate.count, rate.per_ms / 1000)
        self.wake()

    @property
    def free_places(self) -> int:
        """In how many places nothing is under way, whatever the rate says."""
        return max(self.concurrency - self._attempts.under_way - self._polls.under_way, 0)

    @property
    def reserved_attempts(self) -> int:
        """How many places are held for attempts and probes, until what is due is known."""
        return self._attempts.reserved

    @property
    def rate_used_up(self) -> bool:
        """Whether the rate lets nothing begin just now."""
        return self._window is not None and self._window.used(trio.current_time()) >= self._window.count

    def reserve_attempts(self, most: int) -> int:
        """Hold up to ``most`` places for attempts and probes; how many. :meth:`begin_attempts` must follow, if any."""
        self._attempts.reserved = min(self._free(free_for_attempts, self._polls), most)
        self._attempts.waits = self._attempts.reserved <= 0
        return self._attempts.reserved

    def retries_first(self) -> int:
        """How many of the places reserved retries may have before actions that were never tried."""
        allowed = self.ramp.allowed
        total = self.concurrency if allowed is None else min(allowed, self.concurrency)
        turn = self._retry_came_last
        first = share_of_retries(total, self._retry_budget, self._retries_under_way, retry_came_last=turn)
        if self._window is not None:
            begun = self._window.used_by("retry", trio.current_time())
            first = min(first, share_of_retries(self._window.count, self._retry_budget, begun, retry_came_last=turn))
        return min(first, self._attempts.reserved)

    def reserve_polls(self, most: int) -> int:
        """As :meth:`reserve_attempts`, for polls."""
        self._polls.reserved = min(self._free(free_for_polls, self._attempts), most)
        self._polls.waits = self._polls.reserved <= 0
        return self._polls.reserved

    def begin_attempts(self, count: int, *, retries: int = 0, more_wait: bool) -> None:
        """So many attempts and probes begin in the places reserved; whether more would if they could.

        Each must say when it really begins: :meth:`note_begin`. ``retries`` of them are retries.
        """
        self._begin(self._attempts, count, more_wait)
        self._retries_under_way += retries
        if count:
            self._polls_came_last = False
            self._retry_came_last = retries > 0
            if self._window is not None:
                self._window.let_in("first", count - retries)
                self._window.let_in("retry", retries)

    def begin_polls(self, count: int, *, more_wait: bool) -> None:
        """As :meth:`begin_attempts`, for polls."""
        self._begin(self._polls, count, more_wait)
        if count:
            self._polls_came_last = True
            if self._window is not None:
                self._window.let_in("poll", count)

    def note_begin(self, kind: Kind) -> None:
        """A call that was let in begins just now."""
        if self._window is not None:
            self._window.begin(kind, trio.current_time())
            if self._waiting:
                # whoever waits for the rate knows from now on how long
                self.wake()

    def leave_attempts(self) -> None:
        """No attempt wants to begin for now."""
        self._begin(self._attempts, 0, more_wait=False)

    def leave_polls(self) -> None:
        """No poll wants to begin for now."""
        self._begin(self._polls, 0, more_wait=False)

    def end_attempt(self, *, retry: bool = False) -> None:
        """An attempt or a probe has ended."""
        self._attempts.under_way -= 1
        self._retries_under_way -= retry
        self.wake()

    def end_poll(self) -> None:
        """A poll has ended."""
        self._polls.under_way -= 1
        self.wake()

    def wake(self) -> None:
        """Let everybody who waits look again."""
        if self._waiting:
            self._waiting.unpark_all()

    async def wait(self) -> None:
        """Wait until somebody may begin who may not now."""
        seconds = None if self._window is None else self._window.wait_seconds(trio.current_time())
        with trio.move_on_after(math.inf if seconds is None else seconds):
            await self._waiting.park()

    def _free(self, free_for: Callable[..., int], other: _Party) -> int:
        held = self._attempts.reserved, self._polls.reserved
        under_way = self._attempts.under_way + held[0], self._polls.under_way + held[1]
        free = free_for(self.concurrency, *under_way, contended=other.waits, polls_came_last=self._polls_came_last)
        if self._window is None:
            return free
        used, polls = self._window.used(trio.current_time()), self._window.used_by("poll", trio.current_time())
        begun = used - polls + held[0], polls + held[1]
        return min(
            free, free_for(self._window.count, *begun, contended=other.waits, polls_came_last=self._polls_came_last)
        )

    def _begin(self, party: _Party, count: int, more_wait: bool) -> None:
        left = party.reserved > count or (party.waits and not more_wait)
        party.under_way += count
        party.reserved, party.waits = 0, more_wait
        if left:
            self.wake()
