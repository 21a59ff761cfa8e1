"""``rate``: never more than so many calls in any window of the given length."""

from __future__ import annotations

from collections import deque


class RateWindow:
    """A sliding window, exact over every window of ``per_seconds``. Memory is bounded by ``count``.

    Attempts and polls count alike; how many of either there were is known, so that they can share it fairly.
    """

    def __init__(self, count: int, per_seconds: float) -> None:
        self.count = count
        self._per_seconds = per_seconds
        self._attempts: deque[float] = deque(maxlen=count)
        self._polls: deque[float] = deque(maxlen=count)

    def used(self, now: float) -> tuple[int, int]:
        """How many attempts, and how many polls, began in the window that ends at ``now`` (monotonic seconds)."""
        oldest = now - self._per_seconds
        for starts in (self._attempts, self._polls):
            while starts and starts[0] <= oldest:
                starts.popleft()
        return len(self._attempts), len(self._polls)

    def record(self, now: float, *, attempts: int = 0, polls: int = 0) -> None:
        """Note that so many begin at ``now``."""
        self._attempts.extend([now] * attempts)
        self._polls.extend([now] * polls)

    def wait_seconds(self, now: float) -> float | None:
        """How long until the window has more room than it has at ``now``; None where it has all there is."""
        attempts, polls = self.used(now)
        oldest = [starts[0] for starts, used in ((self._attempts, attempts), (self._polls, polls)) if used]
        return max(min(oldest) + self._per_seconds - now, 0.001) if oldest else None
