"""Measuring how long the event loop was held up, and where."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

_BEAT_SECONDS = 0.005
_LOOK_SECONDS = 0.02


@dataclass(slots=True)
class Pulse:
    """``longest_seconds`` is the longest time without a beat; ``where`` is what ran then, once that is known."""

    limit_seconds: float
    longest_seconds: float = 0.0
    where: str = "unknown"
    last: float = 0.0
    ended: bool = False

    def beat(self) -> None:
        """The loop runs."""
        now = time.perf_counter()
        self.longest_seconds = max(self.longest_seconds, now - self.last)
        self.last = now

    def look(self, main: int) -> None:
        """In a thread: see what the loop does while it does not beat."""
        while not self.ended:
            time.sleep(_LOOK_SECONDS)
            frame = sys._current_frames().get(main)  # noqa: SLF001 - documented, and the only way
            if frame is not None and time.perf_counter() - self.last > self.limit_seconds / 2:
                innermost = traceback.extract_stack(frame)[-1]
                self.where = f"{innermost.filename}:{innermost.lineno} in {innermost.name}()"


@asynccontextmanager
async def heartbeat(limit_seconds: float) -> AsyncGenerator[Pulse, None]:
    """Beat beside the block."""
    pulse = Pulse(limit_seconds, last=time.perf_counter())
    watcher = threading.Thread(target=pulse.look, args=(threading.get_ident(),), name="conformance heartbeat")

    async def beat() -> None:
        while True:
            pulse.beat()
            await trio.sleep(_BEAT_SECONDS)

    watcher.start()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(beat)
            yield pulse
            await trio.sleep(2 * _BEAT_SECONDS)
            nursery.cancel_scope.cancel()
    finally:
        pulse.ended = True
        watcher.join()
