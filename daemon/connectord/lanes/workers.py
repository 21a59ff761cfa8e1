"""Tasks that make attempts, one after the other.

A task and a cancel scope for each attempt cost 6 % of what an action takes. Who makes one attempt after the other needs
them once. What an attempt leaves behind in the task's context is never seen by the next: then the task ends.
"""

from __future__ import annotations

from contextvars import Context, copy_context

import outcome
import trio

from connectord.lanes.attempting import Attempt
from connectord.lanes.calls import Trouble
from connectord.lifecycle import events as on


class Workers:
    """The tasks of one lane that make attempts. They wait for another one while there is more to do than they can."""

    def __init__(self) -> None:
        self._idle: dict[trio.lowlevel.Task, None] = {}
        self._are_kept = False

    def begin(self, nursery: trio.Nursery, attempt: Attempt) -> None:
        """Make the attempt, in a task that waits or in a new one in ``nursery``, where all of them have to be."""
        if self._idle:
            task, _ = self._idle.popitem()
            trio.lowlevel.reschedule(task, outcome.Value(attempt))
        else:
            nursery.start_soon(self._work, attempt)

    def keep(self) -> None:
        """There is more to do: who is done with one attempt waits for the next."""
        self._are_kept = True

    def release(self) -> None:
        """Let those end that wait, and those under way when they are done."""
        self._are_kept = False
        while self._idle:
            trio.lowlevel.reschedule(self._idle.popitem()[0], outcome.Value(None))

    async def _work(self, first: Attempt) -> None:
        attempt: Attempt | None = first
        task, context = trio.lowlevel.current_task(), copy_context()
        while attempt is not None:
            came_to: on.Event | Trouble | None = None
            left_open = False
            try:
                with trio.CancelScope() as scope:
                    innermost = _innermost_scope(task)
                    while attempt is not None:
                        came_to = None
                        call = attempt.begin(scope)
                        came_to = await attempt.make(call)
                        left_open = _innermost_scope(task) is not innermost
                        if left_open or scope.cancel_called:
                            break
                        await attempt.settle(call, came_to)
                        attempt = await self._next(context)
            except RuntimeError as error:
                # trio says so where the adapter has left a scope or a nursery within ours, also on the way out of a
                # call that was cancelled
                left_open = left_open or came_to is None
                if attempt is None or not left_open:
                    raise
                came_to = attempt.fault(error)
            if attempt is not None:
                # its time was up: what is left to do is not to be cancelled, and the next one needs another scope
                await attempt.settle(call, came_to)
                attempt = None if left_open else await self._next(context)

    async def _next(self, context: Context) -> Attempt | None:
        if not self._are_kept or copy_context() != context:
            return None
        task = trio.lowlevel.current_task()
        self._idle[task] = None

        def leave(raise_cancel: object) -> trio.lowlevel.Abort:
            del self._idle[task]
            return trio.lowlevel.Abort.SUCCEEDED

        attempt: Attempt | None = await trio.lowlevel.wait_task_rescheduled(leave)
        return attempt


def _innermost_scope(task: trio.lowlevel.Task) -> object:
    """What stands for the cancel scope that a task is in. trio has no other way to see that one was left open."""
    return getattr(task, "_cancel_status", None)
