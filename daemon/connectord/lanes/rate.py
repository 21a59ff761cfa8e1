"""``rate``: never more than so many calls begin in any window of the given length."""

from __future__ import annotations

import math
from collections import deque
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["first", "retry", "poll"]
KINDS: tuple[Kind, ...] = ("first", "retry", "poll")


class RateWindow:
    """A sliding window, exact over every window of ``per_seconds``. Memory is bounded by ``count``.

    A call counts from the moment that it is let in, and leaves the window ``per_seconds`` after it really began: what
    lies between the two, such as a blocked event loop, makes no room too early. All kinds count alike; how many there
    were of each is known, so that they can share it fairly.
    """

    def __init__(self, count: int, per_seconds: float) -> None:
        self.count = count
        self.per_seconds = per_seconds
        self._begun: dict[Kind, deque[float]] = {kind: deque() for kind in KINDS}
        self._let_in: dict[Kind, int] = dict.fromkeys(KINDS, 0)

    def configure(self, count: int, per_seconds: float) -> None:
        """Go on with another rate; what began before counts on, as far as it is known."""
        self.count, self.per_seconds = count, per_seconds

    def used(self, now: float) -> int:
        """How many calls are in the window that ends at ``now`` (monotonic seconds)."""
        return sum(self.used_by(kind, now) for kind in KINDS)

    def used_by(self, kind: Kind, now: float) -> int:
        """How many of one kind are."""
        begun, oldest = self._begun[kind], now - self.per_seconds
        while begun and begun[0] <= oldest:
            begun.popleft()
        return len(begun) + self._let_in[kind]

    def let_in(self, kind: Kind, calls: int) -> None:
        """So many calls are going to begin; each must say so with :meth:`begin`."""
        self._let_in[kind] += calls

    def begin(self, kind: Kind, now: float) -> None:
        """A call that was let in begins at ``now``."""
        # let in before there was a rate, it is not among those
        self._let_in[kind] = max(self._let_in[kind] - 1, 0)
        self._begun[kind].append(now)

    def wait_seconds(self, now: float) -> float | None:
        """How long until the window has more room than it has at ``now``; None where nothing has begun in it."""
        self.used(now)
        oldest = min((self._begun[kind][0] for kind in KINDS if self._begun[kind]), default=math.inf)
        return None if oldest == math.inf else max(oldest + self.per_seconds - now, 0.001)
