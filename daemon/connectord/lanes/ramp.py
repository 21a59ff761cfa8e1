"""How many attempts may be under way after an outage or a start: few at first, then more while it goes well, as in TCP.

Each attempt that reaches the system makes room for one more, so their number doubles with every round. After an outage
a failure halves it, once for all that were under way together, and from there it grows more slowly. After a start,
where nothing tells of trouble, a failure takes back two places, and none of the first: a system where fewer than a
third of the tries fail got all of ``concurrency`` before the start, and has it again soon; one that bears less is not
pressed beyond that, and one that is away opens the circuit. Once the number comes to ``concurrency``, or nothing is
left to do, the ramp is over.
"""

from __future__ import annotations

import math

FEW = 4
"""What a ramp begins with where nothing has failed, such as after a start."""

_SLOWER = 1 / 8
_TAKEN_BACK = 2
"""By a failure where nothing had failed: it grows while fewer than a third of the tries fail."""


class Ramp:
    """Not begun: everything is allowed. Only attempts that began on the ramp count."""

    def __init__(self) -> None:
        self.under_way = 0
        """How many count that are under way; whoever begins and ends them keeps the number."""
        self._allowed: float | None = None
        self._threshold = math.inf
        self._halved_at = -math.inf
        self._after_outage = True

    @property
    def allowed(self) -> int | None:
        """How many may be under way; None where it is not the ramp that says."""
        return None if self._allowed is None else int(self._allowed)

    @property
    def room(self) -> int | None:
        """How many more may begin; None where it is not the ramp that says."""
        return None if self._allowed is None else max(int(self._allowed) - self.under_way, 0)

    def begin(self, few: int) -> None:
        """Start again from ``few``, after an outage."""
        self._allowed, self._threshold, self._halved_at = float(few), math.inf, -math.inf
        self._after_outage = True

    def begin_untroubled(self) -> None:
        """Start again from :data:`FEW`, where nothing has failed."""
        self._allowed, self._threshold = float(FEW), math.inf
        self._after_outage = False

    def finish(self) -> None:
        """Allow everything."""
        self._allowed = None

    def reached(self, concurrency: int) -> None:
        """An attempt on the ramp went well."""
        if self._allowed is not None:
            self._allowed += 1 if self._allowed < self._threshold else _SLOWER
            if self._allowed >= concurrency:
                self.finish()

    def failed(self, began_at: float, now: float) -> None:
        """An attempt on the ramp, begun at ``began_at``, failed."""
        if self._allowed is None:
            return
        if not self._after_outage:
            self._allowed = max(self._allowed - _TAKEN_BACK, float(FEW))
        elif began_at >= self._halved_at:
            self._allowed = self._threshold = max(self._allowed / 2, 1.0)
            self._halved_at = now
