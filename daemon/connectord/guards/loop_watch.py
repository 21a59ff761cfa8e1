"""Notices when the event loop does not come round, says who blocks it, and ends a process that does not end.

A thread asks the loop for a sign several times within the time that it may take, and looks at the stack of the loop's
thread when there is none. Nothing is measured in the loop itself, so its tasks pay nothing. The thread is started and
joined by whoever opens the watch.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import structlog
import trio

from connectord.guards.culprits import Culprit, Packages, running_culprit, waiting_culprits

EXIT_HELD_UP = 1
"""The exit code of a process that was ended although something held it up."""

LOOKS_WITHIN_LIMIT = 4
"""How often the loop is asked in the time that it may take: so exact is the length of a block."""

_LONGEST_LOOK_SECONDS = 0.25
_SHORTEST_LOOK_SECONDS = 0.005
_ANSWER_SECONDS = 1.0
_WAITING_FOR_IO = "/trio/_core/_io_"

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


class LoopWatch:
    """Watches one event loop. ``packages`` are the plugins whose code it knows, ``told`` hears of every block."""

    def __init__(self, packages: Packages, told: Told) -> None:
        self.longest: Block | None = None
        """The longest that the loop took to give a sign, so far; None where nobody asked."""
        self.blocks = 0
        """How often the loop was blocked for longer than its limit, and for how long in all."""
        self.blocked_seconds = 0.0
        self._packages = packages
        self._told = told
        self._limit: float | None = None
        self._asked_at: float | None = None
        self._seen: Culprit | None = None
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
        thread = threading.Thread(target=self._look, name="connectord loop watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._closed.set()
            thread.join()

    def set_limit(self, milliseconds: int | None) -> None:
        """How long the loop may give no sign before it counts as blocked; None for any time."""
        self._limit = None if milliseconds is None else milliseconds / 1000

    def end_within(self, seconds: float) -> None:
        """The process must have ended in so many seconds: if it has not, it is ended. Safe in a signal handler."""
        end_at = time.monotonic() + seconds
        if self._end_at is None or end_at < self._end_at:
            self._end_at = end_at

    # -- in the loop's thread

    def _answer(self) -> None:
        asked_at, seen = self._asked_at, self._seen
        self._asked_at = self._seen = None
        if asked_at is None:
            return
        seconds = time.monotonic() - asked_at
        block = Block(seconds, time.time() - seconds, seen)
        if self.longest is None or seconds > self.longest.seconds:
            self.longest = block
        if self._limit is not None and seconds >= self._limit:
            self.blocks += 1
            self.blocked_seconds += seconds
            log.warning("the event loop goes on", blocked_seconds=round(seconds, 3), **_by(seen))
            self._told(block)

    # -- in the watch's own thread

    def _look(self) -> None:
        due_at = time.monotonic() + self._pause_seconds()
        while not self._closed.wait(max(due_at - time.monotonic(), 0)):
            now, limit = time.monotonic(), self._limit
            if limit is not None:
                if self._asked_at is None:
                    # later than it should be, it was kept out by code that keeps the interpreter's lock
                    self._seen = None
                    self._asked_at = due_at
                    self._run_in_loop(self._answer)
                asked_at = self._asked_at
                if asked_at is not None and now - asked_at >= limit and self._seen is None:
                    self._see(asked_at, now)
            due_at = time.monotonic() + self._pause_seconds()
            if self._end_at is not None and now >= self._end_at:
                self._end()

    def _pause_seconds(self) -> float:
        if self._limit is None:
            return _LONGEST_LOOK_SECONDS
        return min(max(self._limit / LOOKS_WITHIN_LIMIT, _SHORTEST_LOOK_SECONDS), _LONGEST_LOOK_SECONDS)

    def _see(self, asked_at: float, now: float) -> None:
        culprit = running_culprit(self._loop_thread, self._known())
        # it may have answered in this moment, or just be about to: then what was seen is of something else
        if culprit is None or self._asked_at != asked_at or _WAITING_FOR_IO in culprit.at:
            return
        self._seen = culprit
        log.warning("the event loop is blocked", for_seconds=round(now - asked_at, 3), **_by(culprit))

    def _run_in_loop(self, function: Callable[[], None]) -> None:
        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(function)

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

        self._run_in_loop(ask)
        return names if answered.wait(_ANSWER_SECONDS) else None

    def _known(self) -> Mapping[str, str]:
        return self._packages()


def _by(culprit: Culprit | None) -> dict[str, str | None]:
    if culprit is None:
        return {"by": "it could not be seen by whom", "at": None}
    by: dict[str, str | None] = {"by": culprit.name, "at": culprit.at}
    return by if culprit.system is None else {**by, "system": culprit.system}
