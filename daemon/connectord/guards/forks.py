"""A plugin that forks the daemon: the child never runs the daemon's code on, and keeps nothing of it busy.

Programs that are started as :mod:`subprocess` does it are no concern of this: nothing of ours runs in them.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import structlog
import trio

from connectord.guards.culprits import Culprit, Packages, running_culprit

EXIT_CHILD = 70

log = structlog.get_logger()


class ForkGuard:
    """In force from :meth:`arm` on, for one event loop at a time. There is one for the process."""

    def __init__(self) -> None:
        self._installed = False
        self._loop_thread: int | None = None
        self._packages: Packages = dict
        self._told: Callable[[Culprit], None] | None = None
        self._culprit: Culprit | None = None
        self._descriptors: list[int] = []

    def arm(self, packages: Packages, told: Callable[[Culprit], None], descriptors: list[int]) -> None:
        """Guard the running loop. A child closes ``descriptors``, which would keep others from the daemon's place."""
        if not self._installed:
            # there is no way to take it back, so it asks each time whether it is armed
            os.register_at_fork(
                before=self._before, after_in_parent=self._after_in_parent, after_in_child=self._after_in_child
            )
            self._installed = True
        self._loop_thread = threading.get_ident()
        self._packages, self._told, self._descriptors = packages, told, descriptors

    def disarm(self) -> None:
        """The loop has ended."""
        self._loop_thread = self._told = None

    def _before(self) -> None:
        if self._loop_thread is not None:
            self._culprit = running_culprit(threading.get_ident(), self._packages())

    def _after_in_parent(self) -> None:
        culprit, self._culprit = self._culprit, None
        if self._loop_thread is None or culprit is None:
            return
        log.warning("the daemon was forked", by=culprit.name, at=culprit.at, system=culprit.system)
        if self._told is not None and threading.get_ident() == self._loop_thread:
            self._told(culprit)

    def _after_in_child(self) -> None:
        if self._loop_thread is None:
            return
        in_loop = threading.get_ident() == self._loop_thread
        self._loop_thread = None
        for descriptor in self._descriptors:
            with suppress(OSError):
                os.close(descriptor)
        if in_loop:
            trio.lowlevel.add_instrument(_EndOfChild())


class _EndOfChild(trio.abc.Instrument):
    """Only ever in a child: ends it as soon as the task that forked waits for anything, or returns."""

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        sys.stderr.flush()
        os._exit(EXIT_CHILD)


FORKS = ForkGuard()
"""The process's own."""
