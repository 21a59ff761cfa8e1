"""Wall-clock time, handed in everywhere so that a test can put a simulated one in its place.

What lies on disk and what people read is wall-clock time; how long to sleep is computed from it, and slept on trio's
monotonic clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import trio

LONGEST_SLEEP_SECONDS = 30.0
"""No timer sleeps longer in one piece, so that a jump of the wall clock is noticed after that time at most."""

LOOK_SECONDS = 5.0
"""How often it is looked whether the wall clock was set."""
JUMP_SECONDS = 2.0
"""By how much it has to be off to count as set; less is what time services do all day."""


class Clock(Protocol):
    """Where the daemon gets the time from."""

    def now_ms(self) -> int:
        """Whole milliseconds since the epoch, UTC. May be called from any thread."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


STEP_BACK_MS = 1000
"""What the wall clock may go back by without anybody having set it: rounding, and a step of NTP that nobody feels."""


class ClockWatch:
    """Notices that the wall clock was set back, by the monotonic clock, which nobody sets."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = self._measure()

    def went_back(self) -> bool:
        """Whether it was set back since the last time that this said so, or since the beginning."""
        ahead = self._measure()
        if ahead < self._ahead - STEP_BACK_MS:
            # who was stopped between its two looks sees a difference as well: only one that stays is one
            ahead = max(ahead, self._measure())
        went_back = ahead < self._ahead - STEP_BACK_MS
        self._ahead = ahead if went_back else max(ahead, self._ahead)
        return went_back

    def _measure(self) -> int:
        return self._clock.now_ms() - round(trio.current_time() * 1000)


class Alarm:
    """One timer that can be set from anywhere in the trio thread, and that one task waits for.

    It remembers the earliest time that it was set to. A lane has one, however many actions it has pending.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at: int | None = None
        self._moved = trio.Event()

    def set(self, at_ms: int | None) -> None:
        """Go off at ``at_ms``, unless it is set to an earlier time already. None changes nothing."""
        if at_ms is not None and (self._at is None or at_ms < self._at):
            self._at = at_ms
            self._moved.set()

    async def wait(self) -> None:
        """Wait until the time it is set to has come, then clear it."""
        while True:
            self._moved = trio.Event()
            if self._at is None:
                await self._moved.wait()
                continue
            remaining_ms = self._at - self._clock.now_ms()
            if remaining_ms <= 0:
                self._at = None
                return
            with trio.move_on_after(min(remaining_ms / 1000, LONGEST_SLEEP_SECONDS)):
                await self._moved.wait()


async def watch_clock(clock: Clock, jumped: Callable[[float], None]) -> None:
    """Tell ``jumped`` by how many seconds the wall clock was set, when it was. Runs until cancelled.

    A machine that slept counts as well: trio's clock stands still meanwhile.
    """
    wall, running = clock.now_ms(), trio.current_time()
    while True:
        await trio.sleep(LOOK_SECONDS)
        now, running_now = clock.now_ms(), trio.current_time()
        by_seconds = (now - wall) / 1000 - (running_now - running)
        if abs(by_seconds) >= JUMP_SECONDS:
            jumped(by_seconds)
        wall, running = now, running_now
