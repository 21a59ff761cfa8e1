"""Calls of an adapter that are under way, so that one that does not end can be ended, or given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import trio


@dataclass(slots=True, eq=False)
class AdapterCall:
    """One call: what of, since when (on trio's clock), and how it is settled with a message in the place of an answer.

    ``settle`` records that it was given up; ``free_place`` lets another call have its place. ``scope`` is cancelled
    when the time is up; where it is None, the call sees to that itself.
    """

    method: str
    action_id: str
    limit_seconds: float
    settle: Callable[[str], Awaitable[None]]
    free_place: Callable[[], None]
    scope: trio.CancelScope | None = None
    since: float = field(default_factory=trio.current_time)
    task: trio.lowlevel.Task = field(default_factory=trio.lowlevel.current_task)
    abandoned: bool = False
    """It was given up, and is settled whatever it comes to."""
    keeps_place: bool = False
    """It was given up, and keeps its place all the same."""


class CallsUnderWay:
    """The calls of one lane that are under way."""

    def __init__(self) -> None:
        self.abandoned = 0
        """How many go on although they were given up."""
        self._calls: dict[AdapterCall, None] = {}
        self._began = trio.Event()

    def begin(self, call: AdapterCall) -> None:
        """A call begins; :meth:`end` must follow."""
        self._calls[call] = None
        if not self._began.is_set():
            self._began.set()

    def end(self, call: AdapterCall) -> None:
        """A call has ended."""
        if not call.abandoned:
            del self._calls[call]
            call.free_place()
            return
        self.abandoned -= 1
        if call.keeps_place:
            call.free_place()

    def abandon(self, call: AdapterCall, *, keeps_place: bool) -> None:
        """Give up a call: it is no longer waited for."""
        call.abandoned, call.keeps_place = True, keeps_place
        del self._calls[call]
        self.abandoned += 1

    async def some(self) -> Iterable[AdapterCall]:
        """Those that were not given up, once there are any."""
        while not self._calls:
            self._began = trio.Event()
            await self._began.wait()
        return list(self._calls)
