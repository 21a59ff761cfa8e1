"""An end to what would never end: an adapter that ignores cancellation takes the whole test run with it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class NeverEnded(BaseException):  # not an Exception: an adapter that catches those must not catch this
    """Something did not end, although it was cancelled."""


@contextmanager
def ends_within(seconds: float) -> Generator[None, None, None]:
    """Break off what runs in the block after ``seconds``, and again every second, with :class:`NeverEnded`."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return

    def break_off(number: int, frame: FrameType | None) -> NoReturn:
        raise NeverEnded(f"it did not end within {seconds:g} s, and took no notice of being cancelled")

    previous = signal.signal(signal.SIGALRM, break_off)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
