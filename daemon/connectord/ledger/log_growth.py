"""The write-ahead log as the writer fills it: somebody else writes it back, and has to know when there is enough."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from connectord.ledger.unit import Unit


class LogGrowth:
    """How many rows the writer has written, and a bell for the one task that waits for more of them."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.rest_wanted = False
        """Whether the writer is to write back, before its next batch, what little there is left of the log."""
        self._wanted = 0
        self._reached = trio.Event()

    def note(self, rows: int) -> None:
        """The writer has written ``rows`` in all by now."""
        self.rows = rows
        if rows >= self._wanted:
            self._reached.set()

    async def by(self, rows: int, since: int) -> None:
        """Wait until ``rows`` were written since there were ``since`` of them."""
        self._wanted = since + rows
        if self.rows < self._wanted:
            self._reached = trio.Event()
            await self._reached.wait()


@dataclass(frozen=True, slots=True)
class LeaveLog:
    """Somebody else writes the log back from now on. Whenever it begins anew, its file is cut to ``log_bytes``."""

    log_bytes: int

    def perform(self, unit: Unit) -> None:
        unit.store.leave_log_to_another(self.log_bytes)
