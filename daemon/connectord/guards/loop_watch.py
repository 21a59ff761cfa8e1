"""Notices when the event loop does not come round, says who blocks it, and ends a process that does not end.

An instrument notes when the loop begins to work and when it waits again: two notes a round, however many tasks run in
it. A thread looks at the notes now and then. While the loop is blocked nothing else can: it takes the stack of the
loop's thread, and logs it. The thread is started and joined by whoever opens the watch.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import structlog
import trio

from connectord.guards.culprits import Culprit, Packages, running_culprit, waiting_culprits

EXIT_HELD_UP = 1
"""The exit code of a process that was ended although something held it up."""

_LONGEST_LOOK_SECONDS = 0.25
_SHORTEST_LOOK_SECONDS = 0.005
_ANSWER_SECONDS = 1.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Block:
    """The loop did not come round for ``seconds``; ``culprit`` is None where nobody could see who it was."""

    seconds: float
    at: float
    """When it began, in seconds since the epoch."""
    culprit: Culprit | None


class Told(Protocol):
    """Who is told of a block once it is over, in the loop's thread."""

    def __call__(self, block: Block) -> None: ...


class LoopWatch(trio.abc.Instrument):
    """Watches one event loop. ``packages`` are the plugins whose code it knows, ``told`` hears of every block."""

    def __init__(self, packages: Packages, told: Told) -> None:
        self.longest: Block | None = None
        """The longest block so far."""
        self._packages = packages
        self._told = told
        self._limit: float | None = None
        self._longest_seconds = 0.0
        self._busy_since: float | None = None
        self._seen: tuple[float, Culprit | None] | None = None
        self._end_at: float | None = None
        self._closed = threading.Event()
        self._loop_thread = 0
        self._token: trio.lowlevel.TrioToken | None = None

    # -- for its owner

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the loop of the running task until the block ends."""
        self._loop_thread = threading.get_ident()
        self._token = trio.lowlevel.current_trio_token()
        self._busy_since = time.monotonic()
        thread = threading.Thread(target=self._look, name="connectord loop watch", daemon=True)
        trio.lowlevel.add_instrument(self)
        thread.start()
        try:
            yield
        finally:
            # an instrument that has failed was taken out already
            with suppress(KeyError):
                trio.lowlevel.remove_instrument(self)
            self._closed.set()
            thread.join()

    def set_limit(self, milliseconds: int | None) -> None:
        """How long the loop may take for one round before it counts as blocked; None for any time."""
        self._limit = None if milliseconds is None else milliseconds / 1000

    def end_within(self, seconds: float) -> None:
        """The process must have ended in so many seconds: if it has not, it is ended. Safe in a signal handler."""
        end_at = time.monotonic() + seconds
        if self._end_at is None or end_at < self._end_at:
            self._end_at = end_at

    # -- in the loop's thread

    def before_io_wait(self, timeout: float) -> None:
        """The loop has come round."""
        busy_since, self._busy_since = self._busy_since, None
        if busy_since is not None:
            seconds = time.monotonic() - busy_since
            if seconds > self._longest_seconds or (self._limit is not None and seconds >= self._limit):
                self._note(seconds, busy_since)

    def after_io_wait(self, timeout: float) -> None:
        """The loop begins its next round."""
        self._busy_since = time.monotonic()

    def _note(self, seconds: float, busy_since: float) -> None:
        seen, self._seen = self._seen, None
        culprit = seen[1] if seen is not None and seen[0] == busy_since else None
        block = Block(seconds, time.time() - seconds, culprit)
        if seconds > self._longest_seconds:
            self._longest_seconds, self.longest = seconds, block
        if self._limit is None or seconds < self._limit:
            return
        log.warning("the event loop goes on", blocked_seconds=round(seconds, 3), **_by(culprit))
        self._told(block)

    # -- in the watch's own thread

    def _look(self) -> None:
        while not self._closed.wait(self._pause_seconds()):
            busy_since, now = self._busy_since, time.monotonic()
            if self._limit is not None and busy_since is not None and now - busy_since >= self._limit:
                self._see(busy_since, now)
            if self._end_at is not None and now >= self._end_at:
                self._end()

    def _pause_seconds(self) -> float:
        if self._limit is None:
            return _LONGEST_LOOK_SECONDS
        return min(max(self._limit / 4, _SHORTEST_LOOK_SECONDS), _LONGEST_LOOK_SECONDS)

    def _see(self, busy_since: float, now: float) -> None:
        if self._seen is not None and self._seen[0] == busy_since:
            return
        culprit = running_culprit(self._loop_thread, self._known())
        if self._busy_since == busy_since:  # else it went on in this moment, and what was seen is of something else
            self._seen = busy_since, culprit
            log.warning("the event loop is blocked", for_seconds=round(now - busy_since, 3), **_by(culprit))

    def _end(self) -> None:
        held_up_by = self._waiting()
        if held_up_by is None:
            culprit = running_culprit(self._loop_thread, self._known())
            held_up_by = [] if culprit is None else [f"{culprit} blocks the event loop"]
        log.critical(
            "ended, for something holds up the stop; what was under way is settled at the next start",
            held_up_by=held_up_by or ["nobody knows what"],
        )
        sys.stderr.flush()
        os._exit(EXIT_HELD_UP)

    def _waiting(self) -> list[str] | None:
        """Who does not end; None where the loop does not answer."""
        answered = threading.Event()
        names: list[str] = []

        def ask() -> None:
            names.extend(str(culprit) for culprit in waiting_culprits(self._known()))
            answered.set()

        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(ask)
        return names if answered.wait(_ANSWER_SECONDS) else None

    def _known(self) -> Mapping[str, str]:
        return self._packages()


def _by(culprit: Culprit | None) -> dict[str, str | None]:
    if culprit is None:
        return {"by": "it could not be seen by whom", "at": None}
    by: dict[str, str | None] = {"by": culprit.name, "at": culprit.at}
    return by if culprit.system is None else {**by, "system": culprit.system}
