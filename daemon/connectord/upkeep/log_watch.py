"""Writes the write-ahead log back beside the writer, keeps it bounded, and says who keeps it from that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog
import trio

from connectord.clock import Clock
from connectord.errors import StoreFull
from connectord.ledger.ledger import Ledger
from connectord.ledger.log_growth import LeaveLog
from connectord.store.base import Executor, FileState
from connectord.store.sqlite_log import Checkpoint, LogWriter, other_readers

INTERVAL_SECONDS = 5.0
LARGE_BYTES = 128 * 1024 * 1024
"""Twice the largest bound of the log: somebody who reads holds it up."""

SMALL_BYTES = 64 * 1024 * 1024
PATIENCE_SECONDS = 60.0
REMINDER_SECONDS = 3600.0

LEAST_BOUND, MOST_BOUND = 4 * 1024 * 1024, 64 * 1024 * 1024
BOUND_SHARE = 8
"""How large the log may become: an eighth of the database, within these limits."""

DOSE_BYTES = 4 * 1024 * 1024
"""So much of the log is written back at once: little enough that no commit's own sync waits long for that one."""

REST_BYTES = 256 * 1024
"""So little may be left of the log for the writer to write back, while others wait; a dose, if the log is too large."""

PASSES = 4
"""How often it is tried to come so far; under heavy load each pass finds what came during the one before."""

LEAST_ROW, MOST_ROW = 64.0, 65_536.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Held:
    """Since when a reader holds up the log (milliseconds since the epoch), and which processes it may be."""

    since: int
    by: tuple[str, ...] = ()


def bound_of(file_bytes: int) -> int:
    """How large the log may become beside a database of this size: a power of two, so that it seldom changes."""
    share = min(max(file_bytes // BOUND_SHARE, LEAST_BOUND), MOST_BOUND)
    return 1 << (share.bit_length() - 1)


class LogWatch:
    """Writes the log back whenever it has grown by a dose, and looks at it every few seconds.

    No commit waits for that: SQLite copies pages from the log into the database, and syncs it, beside the writer. It
    begins the log anew only when all of it is written back, which under constant load it never is. So once the log is
    nearly as large as it may be, and next to nothing of it is left, the writer itself writes that back before a batch.

    While a program reads one snapshot on and on, the log cannot be written back past it and grows.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        path: Path,
        executor: Executor,
        file_state: Callable[[], Awaitable[FileState]],
        log_writer: LogWriter,
        *,
        large_bytes: int = LARGE_BYTES,
        dose_bytes: int = DOSE_BYTES,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._path = path
        self._executor = executor
        self._file_state = file_state
        self._writer = log_writer
        self._large_bytes = large_bytes
        self._dose_bytes = dose_bytes
        self._bound = LEAST_BOUND
        self._rows_seen = ledger.log_growth.rows
        self._last = Checkpoint(0, 0)
        self._bytes_a_row = 4096.0
        self._told_at: float | None = None
        self.held: Held | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            # without room on the disk there is nothing that could be done here; it is tried again
            with suppress(StoreFull):
                await self.look()
            with trio.move_on_after(INTERVAL_SECONDS):
                await self._ledger.log_growth.by(self._rows_a_dose(), self._rows_seen)

    async def look(self) -> None:
        """Look once, and do what is needed."""
        rows = self._ledger.log_growth.rows
        grown = rows - self._rows_seen
        is_dose = grown >= self._rows_a_dose()
        if is_dose:
            self._rows_seen = rows
        state = await self._file_state()
        await self._set_bound(bound_of(state.file_bytes))
        if not is_dose and state.log_bytes <= min(self._bound, self._large_bytes):
            return
        found = await self._executor.run(self._writer.write_back)
        if is_dose:
            self._learn(grown, found)
        done = self._last = await self._write_back_more(found)
        left = done.log_bytes - done.done_bytes
        if done.log_bytes > self._large_bytes and left > min(SMALL_BYTES, self._large_bytes // 2):
            await self._hold(done.log_bytes)
        else:
            self._let_go()

    async def _set_bound(self, log_bytes: int) -> None:
        if log_bytes != self._bound:
            await self._ledger.insist(LeaveLog(log_bytes))
            self._bound = log_bytes

    def _rows_a_dose(self) -> int:
        return int(min(self._dose_bytes, self._bound / 4) / self._bytes_a_row) + 1

    def _learn(self, rows: int, found: Checkpoint) -> None:
        """How much of the log a row takes: one of a large batch takes far less than one that is committed alone."""
        grown = found.log_bytes - (self._last.log_bytes if self._last.generation == found.generation else 0)
        self._bytes_a_row = min(max(grown / rows, LEAST_ROW), MOST_ROW)

    async def _write_back_more(self, done: Checkpoint) -> Checkpoint:
        """Write back what came meanwhile, until that is little."""
        for _ in range(PASSES - 1):
            before, done = done, await self._executor.run(self._writer.write_back)
            if done.log_bytes - before.done_bytes <= REST_BYTES:
                break
        # who writes faster than the disk syncs has to wait for it sooner or later
        most = REST_BYTES if done.log_bytes < self._bound else self._dose_bytes
        if done.log_bytes >= self._bound * 3 // 4 and done.log_bytes - done.done_bytes <= most:
            self._ledger.log_growth.rest_wanted = True
        return done

    async def _hold(self, log_bytes: int) -> None:
        now = self._clock.now_ms()
        since = now if self.held is None else self.held.since
        by = tuple(await self._executor.run(other_readers, self._path))
        self.held = Held(since, by)
        last = since / 1000 + PATIENCE_SECONDS - REMINDER_SECONDS if self._told_at is None else self._told_at
        if now / 1000 - last >= REMINDER_SECONDS:
            self._told_at = now / 1000
            log.warning(
                "a program reads the database without an end, so the write-ahead log grows",
                log_bytes=log_bytes,
                seconds=(now - since) / 1000,
                open_in=by,
                do="let that program end its transaction, or stop it; the log shrinks by itself then",
            )

    def _let_go(self) -> None:
        if self._told_at is not None:
            log.info("the write-ahead log is written back again")
        self.held, self._told_at = None, None
