"""An end to what would never end: an adapter that ignores cancellation takes the whole test run with it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Watchdog:
    """Whether the time was up."""

    fired: bool = False


@contextmanager
def ends_within(seconds: float) -> Generator[Watchdog, None, None]:
    """Break off what runs in the block after ``seconds``, and again every second.

    It does what Ctrl-C does, which trio knows how to deliver: :class:`KeyboardInterrupt` is raised where the block is,
    and :attr:`Watchdog.fired` tells it from a real one.
    """
    watchdog = Watchdog()
    if threading.current_thread() is not threading.main_thread():
        yield watchdog  # signals reach the main thread only
        return

    def break_off(number: int, frame: FrameType | None) -> None:
        watchdog.fired = True
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    previous = signal.signal(signal.SIGALRM, break_off)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield watchdog
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
