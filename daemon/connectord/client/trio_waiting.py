"""One watch for all the waiting of a client, however many actions it waits for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeAlias

import trio

from connectord.client.wire import renewed
from connectord.control import results as r
from connectord.errors import ControlError, TryAgain, WrongState

OpenWatch: TypeAlias = Callable[[int | None], AbstractAsyncContextManager[AsyncIterator[r.Event]]]
"""Opens a watch: of what happens from now on, or of everything after a number."""


class Waiter:
    """What has been heard of one action. It keeps which states, not each change: its size has a bound."""

    def __init__(self) -> None:
        self._seen: set[r.StateName] = set()
        self._changed = trio.Event()
        self._failure: ControlError | None = None

    async def news(self) -> set[r.StateName]:
        """The states that the action has come to since the last call.

        None at all at first, when the watch has begun, and again after a gap: then the action has to be looked at.
        """
        await self._changed.wait()
        if self._failure is not None:
            raise renewed(self._failure)
        self._changed = trio.Event()
        seen, self._seen = self._seen, set()
        return seen

    def tell(self, state: r.StateName) -> None:
        """It has come to this state."""
        self._seen.add(state)
        self._changed.set()

    def look(self) -> None:
        """From now on every change is told; what was before is not known."""
        self._seen.clear()
        self._changed.set()

    def fail(self, error: ControlError) -> None:
        """Nothing more will be told."""
        self._failure = error
        self._changed.set()


class SharedWatch:
    """Tells waiters what their actions come to. It ends with its last waiter, and is not used again then."""

    def __init__(self, open_watch: OpenWatch) -> None:
        self._open_watch = open_watch
        self._waiters: defaultdict[str, list[Waiter]] = defaultdict(list)
        self._scope = trio.CancelScope()
        self._has_begun = False
        self.has_ended = False

    @contextmanager
    def waiter(self, action_id: str) -> Iterator[Waiter]:
        """Hear of one action."""
        waiter = Waiter()
        if self._has_begun:
            waiter.look()
        self._waiters[action_id].append(waiter)
        try:
            yield waiter
        finally:
            self._waiters[action_id].remove(waiter)
            if not self._waiters[action_id]:
                del self._waiters[action_id]
            if not self._waiters:
                self.has_ended = True
                self._scope.cancel()

    async def run(self) -> None:
        """Watch, and go on where the daemon cut it off as too slow; a failure goes to the waiters."""
        with self._scope:
            try:
                after: int | None = None
                while True:
                    try:
                        after = await self._follow(after)
                    except WrongState:
                        # what follows the number is not kept any more
                        if after is None:
                            raise
                        after = None
            except ControlError as error:
                self.has_ended = True
                for waiter in self._all():
                    waiter.fail(error)

    async def _follow(self, after: int | None) -> int | None:
        """Tell what happens until the daemon cuts it off; after which change to go on, if it said so."""
        async with self._open_watch(after) as events:
            self._has_begun = True
            if after is None:
                for waiter in self._all():
                    waiter.look()
            try:
                async for event in events:
                    for waiter in self._waiters.get(event.action, ()):
                        waiter.tell(event.to)
            except TryAgain as error:
                after = error.resume_after
        self._has_begun = after is not None
        return after

    def _all(self) -> list[Waiter]:
        return [waiter for waiters in self._waiters.values() for waiter in waiters]
