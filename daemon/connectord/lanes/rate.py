"""``rate``: never more than so many attempts in any window of the given length."""

from __future__ import annotations

from collections import deque


class RateWindow:
    """A sliding window, exact over every window of ``per_seconds``. Memory is bounded by ``count``."""

    def __init__(self, count: int, per_seconds: float) -> None:
        self._count = count
        self._per_seconds = per_seconds
        self._starts: deque[float] = deque(maxlen=count)

    def available(self, now: float) -> int:
        """How many attempts may start at ``now`` (seconds on a monotonic clock)."""
        while self._starts and self._starts[0] <= now - self._per_seconds:
            self._starts.popleft()
        return self._count - len(self._starts)

    def record(self, now: float, starts: int) -> None:
        """Note that ``starts`` attempts begin at ``now``."""
        self._starts.extend([now] * starts)

    def wait_seconds(self, now: float) -> float:
        """How long until the next attempt may start; 0 where it may at once."""
        if self.available(now) > 0:
            return 0.0
        return max(self._starts[0] + self._per_seconds - now, 0.001)
