"""Cancel a piece of code at every one of its awaits in turn."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import trio


class _CancelAfterSteps(trio.abc.Instrument):
    def __init__(self, task: trio.lowlevel.Task, scope: trio.CancelScope, steps: int) -> None:
        self._task = task
        self._scope = scope
        self._steps_left = steps

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._steps_left -= 1
            if self._steps_left == 0:
                self._scope.cancel()


@contextmanager
def cancel_after_steps(steps: int) -> Generator[trio.CancelScope, None, None]:
    """A cancel scope that is cancelled when this task has given up control ``steps`` (1 or more) times.

    Where that is while it waits, the wait is cut off; raise ``steps`` from 1 until ``cancelled_caught`` is false
    to have seen every await.
    """
    with trio.CancelScope() as scope:
        instrument = _CancelAfterSteps(trio.lowlevel.current_task(), scope, steps)
        trio.lowlevel.add_instrument(instrument)
        try:
            yield scope
        finally:
            trio.lowlevel.remove_instrument(instrument)
