"""Who may call the system next: ``concurrency`` and ``rate``, shared by attempts and polls so that neither starves.

Each of the two may use all there is while the other wants nothing. While both want more than there is, polls have a
quarter, and at least one; attempts, probes among them, have the rest. Where there is but one, they take turns.
"""

from __future__ import annotations

import trio

from connectord.config import Rate
from connectord.lanes.rate import RateWindow

POLLS_SHARE = 4
"""Polls have one part in so many."""


def free_for_attempts(total: int, attempts: int, polls: int, *, contended: bool, polls_came_last: bool) -> int:
    """How many more attempts may begin of ``total``; ``contended`` says that a poll wants to begin too."""
    free = total - attempts - polls
    if contended:
        if total == 1:
            return free if polls_came_last else 0
        free -= max(_polls_share(total) - polls, 0)
    return max(free, 0)


def free_for_polls(total: int, attempts: int, polls: int, *, contended: bool, polls_came_last: bool) -> int:
    """How many more polls may begin of ``total``; ``contended`` says that an attempt wants to begin too."""
    free = total - attempts - polls
    if contended:
        if total == 1:
            return 0 if polls_came_last else free
        free = min(free, _polls_share(total) - polls)
    return max(free, 0)


def _polls_share(total: int) -> int:
    return max(total // POLLS_SHARE, 1)


class Admission:
    """The places and the rate of one lane, and who waits for them."""

    def __init__(self, concurrency: int, rate: Rate | None) -> None:
        self.attempts_wait = False
        """Whether an attempt or a probe is due, or may be, that has no place."""
        self.polls_wait = False
        self._attempts = 0
        self._polls = 0
        self._polls_came_last = False
        self._waiting = trio.lowlevel.ParkingLot()
        self.configure(concurrency, rate)

    def configure(self, concurrency: int, rate: Rate | None, *, keep_window: bool = False) -> None:
        """Go on with other limits; what has begun under the old ones ends. ``keep_window``: the rate is the same."""
        self.concurrency = concurrency
        if not keep_window:
            self._window = None if rate is None else RateWindow(rate.count, rate.per_ms / 1000)
        self.wake()

    def free_for_attempts(self, now: float) -> int:
        """How many attempts and probes may begin at ``now`` (seconds on trio's clock)."""
        contended, last = self.polls_wait, self._polls_came_last
        free = free_for_attempts(
            self.concurrency, self._attempts, self._polls, contended=contended, polls_came_last=last
        )
        if self._window is None:
            return free
        used = self._window.used(now)
        return min(free, free_for_attempts(self._window.count, *used, contended=contended, polls_came_last=last))

    def free_for_polls(self, now: float) -> int:
        """How many polls may begin at ``now``."""
        contended, last = self.attempts_wait, self._polls_came_last
        free = free_for_polls(self.concurrency, self._attempts, self._polls, contended=contended, polls_came_last=last)
        if self._window is None:
            return free
        used = self._window.used(now)
        return min(free, free_for_polls(self._window.count, *used, contended=contended, polls_came_last=last))

    def begin_attempts(self, count: int, *, more_wait: bool) -> None:
        """Note that so many attempts and probes begin, and whether more would if they could."""
        self._attempts += count
        if count:
            self._polls_came_last = False
            if self._window is not None:
                self._window.record(trio.current_time(), attempts=count)
        self.set_waiting(attempts=more_wait)

    def begin_polls(self, count: int, *, more_wait: bool) -> None:
        """As :meth:`begin_attempts`, for polls."""
        self._polls += count
        if count:
            self._polls_came_last = True
            if self._window is not None:
                self._window.record(trio.current_time(), polls=count)
        self.set_waiting(polls=more_wait)

    def set_waiting(self, *, attempts: bool | None = None, polls: bool | None = None) -> None:
        """Note who waits for a place; one that no longer does may leave it to the other."""
        left = (self.attempts_wait and attempts is False) or (self.polls_wait and polls is False)
        self.attempts_wait = self.attempts_wait if attempts is None else attempts
        self.polls_wait = self.polls_wait if polls is None else polls
        if left:
            self.wake()

    def end_attempt(self) -> None:
        """An attempt or a probe has ended."""
        self._attempts -= 1
        self.wake()

    def end_poll(self) -> None:
        """A poll has ended."""
        self._polls -= 1
        self.wake()

    def wake(self) -> None:
        """Let everybody who waits look again."""
        self._waiting.unpark_all()

    async def wait(self) -> None:
        """Wait until somebody may begin who may not now."""
        seconds = None if self._window is None else self._window.wait_seconds(trio.current_time())
        with trio.move_on_after(float("inf") if seconds is None else seconds):
            await self._waiting.park()
