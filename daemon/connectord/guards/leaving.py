"""The end of the process: a thread that a plugin left behind does not hold it up."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import NoReturn

import structlog

from connectord.guards.culprits import Packages, running_culprit

GRACE_SECONDS = 2.0
"""How long threads may take to end once everything else has."""

log = structlog.get_logger()


def leave(code: int, packages: Packages) -> NoReturn:
    """Exit with ``code``. Raises :class:`SystemExit`, or ends the process where threads would keep it from that."""
    until = time.monotonic() + GRACE_SECONDS
    for thread in _stray_threads():
        thread.join(max(until - time.monotonic(), 0))
    strays = _stray_threads()
    if not strays:
        sys.exit(code)
    for thread in strays:
        culprit = None if thread.ident is None else running_culprit(thread.ident, packages())
        log.error("a thread was left behind", thread=thread.name, by=None if culprit is None else str(culprit))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _stray_threads() -> list[threading.Thread]:
    """Threads that keep the process from ending: all but the main one and those that end with it."""
    return [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
