"""Where the store's calls run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import outcome
import trio

T = TypeVar("T")


class ThreadExecutor:
    """One thread at a time, so that the disk never holds up the event loop."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(1)

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        return await trio.to_thread.run_sync(function, *args, limiter=self._limiter)


class WriterThread:
    """The one writer's: a thread for one call at a time, which the caller sees to.

    :func:`trio.to_thread.run_sync` copies the context and asks a limiter for each call.
    """

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """As a thread goes: once begun, it is not cancelled."""
        await trio.lowlevel.checkpoint_if_cancelled()
        task, token = trio.lowlevel.current_task(), trio.lowlevel.current_trio_token()

        def deliver(result: outcome.Outcome[T]) -> None:
            token.run_sync_soon(trio.lowlevel.reschedule, task, result)

        # without a name, which would be set, and reset, for each call
        trio.lowlevel.start_thread_soon(lambda: function(*args), deliver)
        return cast("T", await trio.lowlevel.wait_task_rescheduled(_go_on))


def _go_on(raise_cancel: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


class InlineExecutor:
    """The calling task itself: for simulations, whose clock does not wait for threads."""

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        await trio.lowlevel.checkpoint()
        return function(*args)
