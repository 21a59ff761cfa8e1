"""A wall clock that follows trio's own, so that under an autojump clock hours pass in no time."""

from __future__ import annotations

import trio

EPOCH_MS = 1_795_521_600_000
"""2026-11-24T12:00:00Z, where simulated time begins."""


class SimulatedClock:
    """A :class:`connectord.clock.Clock`. :attr:`offset_ms` can be changed to make the wall clock jump."""

    def __init__(self) -> None:
        self.offset_ms = 0
        self._started = trio.current_time()

    def now_ms(self) -> int:
        return EPOCH_MS + self.offset_ms + round((trio.current_time() - self._started) * 1000)
