"""Pauses between one failure and the next start, in the daemon itself."""

from __future__ import annotations

import trio

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


class Pauses:
    """Each pause is twice the one before, up to :data:`LONGEST_PAUSE_SECONDS`; after a run of that time it is short."""

    def __init__(self) -> None:
        self._seconds = FIRST_PAUSE_SECONDS
        self._began = trio.current_time()

    def begin(self) -> None:
        """What is paused between begins to run."""
        self._began = trio.current_time()

    def next(self) -> float:
        """It has failed: how long to pause now, in seconds."""
        if trio.current_time() - self._began > LONGEST_PAUSE_SECONDS:
            self._seconds = FIRST_PAUSE_SECONDS
        seconds = self._seconds
        self._seconds = min(seconds * 2, LONGEST_PAUSE_SECONDS)
        return seconds
