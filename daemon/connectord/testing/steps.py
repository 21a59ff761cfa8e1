"""Driving a coroutine step by step, so that it can be cancelled at every one of its awaits."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import trio

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Steps:
    """Cancels :attr:`scope` when the coroutine gives up control for the ``cancel_at``-th time (1 or more).

    ``taken`` counts the steps. ``delivered`` says whether the coroutine itself was told of that cancellation, so that
    it has no excuse for another end than by it.
    """

    cancel_at: int
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    taken: int = 0
    delivered: bool = False

    @types.coroutine
    def drive(self, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Await this in the place of ``coroutine``, within :attr:`scope`."""
        send, value = coroutine.send, None
        while True:
            try:
                trap = send(value)
            except StopIteration as stop:
                returned: T = stop.value
                return returned
            self.taken += 1
            if self.taken == self.cancel_at:
                self.scope.cancel()
            send = coroutine.send
            try:
                value = yield trap
            except BaseException as error:  # noqa: BLE001 - whatever trio throws in is for the coroutine
                send, value = coroutine.throw, error
            # trio hands a cancellation in as a captured outcome, which is unwrapped inside the coroutine
            if self.scope.cancel_called and isinstance(getattr(value, "error", value), trio.Cancelled):
                self.delivered = True
