"""Retention: removes closed actions once they are old enough, in small pieces between everybody else's work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import structlog
import trio

from connectord.clock import Clock
from connectord.config import RetentionSettings
from connectord.errors import StoreFull
from connectord.ledger.ledger import Ledger
from connectord.ledger.pace import Pace
from connectord.ledger.removing import GiveBack, Prune, Took
from connectord.store.base import FileState, Prunable, Pruned, PrunePlace

INTERVAL_SECONDS = 60.0
"""How often it is looked for what has become old."""

LARGEST_PIECE = 128
"""At most so many actions go in one piece; fewer where that takes longer than the writer may be held up."""

LONG_MS, SHORT_MS = 6, 2
"""A piece that takes longer is followed by one of half the size, a shorter one by a larger one."""

PAUSE_FACTOR = 4
SHORTEST_PAUSE_SECONDS = 0.005
"""After each piece, others have the writer for four times as long: retention takes a fifth of it at most."""

PAGES_A_PIECE = 64
FREE_BYTES_KEPT = 8_388_608
FREE_SHARE_KEPT = 0.1
"""Free room is used again; only what is more than 8 MiB and more than a tenth of the file is given back to the disk."""

_KINDS = [
    (resolution, keyed) for resolution in ("done_successfully", "not_done_successfully") for keyed in (False, True)
]

log = structlog.get_logger()


@dataclass(slots=True)
class Run:
    """What the last look came to."""

    at: int | None = None
    removed: int = 0


def _pace(largest: int) -> Pace:
    return Pace(largest, first=largest // 4, step=4, short_ms=SHORT_MS, long_ms=LONG_MS)


async def _pause(pace: Pace, took_ms: int) -> None:
    """Adapt to how long a piece took, and leave the writer to others for a while."""
    pace.adapt(took_ms)
    await trio.sleep(max(SHORTEST_PAUSE_SECONDS, PAUSE_FACTOR * took_ms / 1000))


class Retention:
    """Removes what ``settings`` says is old enough. Where that is nothing, it costs nothing."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        settings: Callable[[], RetentionSettings],
        file_state: Callable[[], Awaitable[FileState]],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._settings = settings
        self._file_state = file_state
        self._changed = trio.Event()
        self._removing, self._giving = _pace(LARGEST_PIECE), _pace(PAGES_A_PIECE)
        self.last = Run()

    def reconfigure(self) -> None:
        """The settings have changed: look again now."""
        self._changed.set()

    async def run(self) -> None:
        """Look every minute, until cancelled."""
        while True:
            self._changed = trio.Event()
            if self._settings().ages():
                await self._remove_all()
                with suppress(StoreFull):
                    await self._give_back()
                with trio.move_on_after(INTERVAL_SECONDS):
                    await self._changed.wait()
            else:
                await self._changed.wait()

    async def _remove_all(self) -> None:
        begun = self._clock.now_ms()
        removed = 0
        for what in prunable(self._settings(), begun):
            place = PrunePlace()
            while not self._changed.is_set():
                piece = Prune(what, place, self._removing.size, self._clock)
                took = cast("Took[Pruned]", await self._ledger.insist(piece))
                removed += len(took.result.ids)
                place = took.result.place
                if not took.result.more:
                    break
                await _pause(self._removing, took.ms)
        self.last = Run(begun, removed)
        if removed:
            log.info("removed what was old", actions=removed, seconds=(self._clock.now_ms() - begun) / 1000)

    async def _give_back(self) -> None:
        state = await self._file_state()
        spare = max(FREE_BYTES_KEPT, int(state.file_bytes * FREE_SHARE_KEPT))
        free = state.free_bytes
        while free > spare and not self._changed.is_set():
            took = cast("Took[int]", await self._ledger.insist(GiveBack(self._giving.size, self._clock)))
            free = took.result
            await _pause(self._giving, took.ms)


def prunable(settings: RetentionSettings, now: int) -> list[Prunable]:
    """What is old enough at ``now``."""
    ages = settings.ages()
    return [Prunable(*kind, before=now - ages[kind]) for kind in _KINDS if kind in ages]
