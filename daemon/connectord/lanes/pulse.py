"""Whether a lane's loop comes round when it is asked to."""

from __future__ import annotations

import trio

OVERDUE_SECONDS = 10.0
"""How much longer than it said a loop may be away: what is cut off has some seconds to end (lanes/overdue.py)."""


class Pulse:
    """One loop's answer to the question whether it still comes round.

    Whoever asks wakes the loop, too; the loop answers at the top of its round. Where it is away for something with an
    end of its own, such as the adapter's ``open()``, it says for how long.
    """

    def __init__(self) -> None:
        self._asked_at: float | None = None
        self._back_at = float("-inf")

    def ask(self) -> None:
        """Want a sign from now on, unless one is wanted already."""
        if self._asked_at is None:
            self._asked_at = trio.current_time()

    def beat(self) -> None:
        """The loop comes round."""
        self._asked_at = None
        self._back_at = float("-inf")

    def leave(self, seconds: float) -> None:
        """The loop is away, for ``seconds`` at most."""
        self._back_at = trio.current_time() + seconds + OVERDUE_SECONDS

    @property
    def is_owed(self) -> bool:
        """Whether a sign is wanted that did not come, and nothing excuses that."""
        return self._asked_at is not None and trio.current_time() >= self._back_at
