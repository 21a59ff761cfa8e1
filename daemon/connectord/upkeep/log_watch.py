"""Keeps the write-ahead log bounded while others read the database, and says so where it cannot."""

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
from connectord.ledger.removing import WriteBack
from connectord.store.base import Executor, FileState
from connectord.store.sqlite_log import other_readers, write_back

INTERVAL_SECONDS = 5.0
LARGE_BYTES = 128 * 1024 * 1024
"""Twice what the log has when the writer writes it back by itself: somebody who reads holds it up."""

SMALL_BYTES = 64 * 1024 * 1024
PATIENCE_SECONDS = 60.0
REMINDER_SECONDS = 3600.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Held:
    """Since when a reader holds up the log (milliseconds since the epoch), and which processes it may be."""

    since: int
    by: tuple[str, ...] = ()


class LogWatch:
    """Looks at the log every few seconds.

    While a program reads one snapshot on and on, the log cannot be written back past it and grows. Once that program is
    done there is much to write back at once, which the writer would do in the middle of a commit. So as long as the log
    is large, it is written back here, beside the writer.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        path: Path,
        executor: Executor,
        file_state: Callable[[], Awaitable[FileState]],
        *,
        large_bytes: int = LARGE_BYTES,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._path = path
        self._executor = executor
        self._file_state = file_state
        self._large_bytes = large_bytes
        self._beside = False
        self._told_at: float | None = None
        self.state: FileState | None = None
        self.held: Held | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            # without room on the disk there is nothing that could be done here; it is tried again
            with suppress(StoreFull):
                await self.look()
            await trio.sleep(INTERVAL_SECONDS)

    async def look(self) -> None:
        """Look once, and do what is needed."""
        self.state = await self._file_state()
        if self.state.log_bytes <= self._large_bytes and not self._beside:
            return
        if not self._beside:
            await self._ledger.insist(WriteBack(by_writer=False))
            self._beside = True
        done = await self._executor.run(write_back, self._path)
        if done.log_bytes - done.done_bytes <= min(SMALL_BYTES, self._large_bytes // 2):
            # the writer's own next one takes the rest, begins the log anew and cuts the file
            await self._ledger.insist(WriteBack(by_writer=True))
            self._beside = False
            self._let_go()
        else:
            await self._hold(done.log_bytes)

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
