"""What waits for the one writer, in the order in which it came, and the place where each caller waits for its answer.

A memory channel and a :class:`trio.Event` for each would do, at several times the cost: both can have many who wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable
from typing import Any, cast

import trio
from outcome import Outcome

from connectord.ledger.operations import Operation


class Request:
    """An operation and the place where its one caller waits for what it comes to.

    It is itself what the waiting task is handed: of an :class:`outcome.Outcome`, which takes 0.4 us to make, trio needs
    ``unwrap`` alone.
    """

    __slots__ = ("_done", "_error", "_result", "_waits", "operation")

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self._done = False
        self._waits: trio.lowlevel.Task | None = None

    def finish(self, result: Any, error: Exception | None) -> None:
        """This is what it came to."""
        self._done, self._result, self._error = True, result, error
        if self._waits is not None:
            trio.lowlevel.reschedule(self._waits, cast("Outcome[Any]", self))

    def unwrap(self) -> Any:
        """What it came to; to be asked once. Raises what the operation raised."""
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error, self  # its traceback has this frame: what both hold on to would have to be collected

    def answer(self) -> Awaitable[Any]:
        """What it came to, once that is committed; to be awaited at once. Raises what the operation raised."""
        if self._done:
            return self._come_late()
        self._waits = trio.lowlevel.current_task()
        # a coroutine of our own around it would be one more for every request under way
        return trio.lowlevel.wait_task_rescheduled(self._cancel)  # noqa: ASYNC105 - the caller awaits it

    def _cancel(self, raise_cancel: object) -> trio.lowlevel.Abort:
        # what was asked for is done all the same; only nobody waits for it
        self._waits = None
        return trio.lowlevel.Abort.SUCCEEDED

    async def _come_late(self) -> Any:
        await trio.lowlevel.checkpoint()
        return self.unwrap()


class RequestQueue:
    """For one task that takes. Who puts something in looks at the length before, or is one of few and waits."""

    __slots__ = ("_requests", "_taker")

    def __init__(self) -> None:
        self._requests: deque[Request] = deque()
        self._taker: trio.lowlevel.Task | None = None

    def __len__(self) -> int:
        return len(self._requests)

    def put(self, request: Request) -> None:
        """The last one from now on."""
        self._requests.append(request)
        taker, self._taker = self._taker, None
        if taker is not None:
            trio.lowlevel.reschedule(taker)

    async def take(self) -> Request:
        """The first one, once there is one; a checkpoint."""
        if self._requests:
            await trio.lowlevel.checkpoint()
        else:
            self._taker = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._cancel)
        return self._requests.popleft()

    def take_more(self, taken: list[Request], most: int) -> None:
        """Move the next ones to those that were ``taken``, until they are ``most``."""
        requests = self._requests
        while requests and len(taken) < most:
            taken.append(requests.popleft())

    def _cancel(self, raise_cancel: object) -> trio.lowlevel.Abort:
        self._taker = None
        return trio.lowlevel.Abort.SUCCEEDED
