"""The trio client: one connection for all calls, one more for each stream, one for all waiting."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import TypeVar

import msgspec
import trio

from connectord.client.trio_connection import Connection, Stream, connect, open_lines
from connectord.client.trio_methods import TrioMethods
from connectord.client.trio_waiting import SharedWatch
from connectord.client.wire import DONE, SocketPath, find_socket, out_of_reach
from connectord.control import params as p
from connectord.control import results as r
from connectord.errors import DaemonUnreachable, WaitTimedOut

T = TypeVar("T", bound=r.Result)


class AsyncClient(TrioMethods):
    """A connection to the daemon under trio; an async context manager. Any number of tasks may use it at once.

    ``socket`` is the control socket's path; without it ``$CONNECTORD_SOCKET``, else the default. A call waits as long
    as its task lets it: ``trio.fail_after`` sets a limit. A call that is cancelled may have been carried out all the
    same. It connects on entering, and anew at the next call after the connection broke; a request is never sent twice.
    Raises :class:`connectord.errors.ControlError`: DaemonUnreachable where no daemon answers, and a
    :class:`connectord.errors.RequestFailed` where it refuses.
    """

    def __init__(self, socket: SocketPath | None = None) -> None:
        self.path = find_socket(socket, os.environ)
        self._manager: AbstractAsyncContextManager[trio.Nursery] | None = None
        self._nursery: trio.Nursery | None = None
        self._connection: Connection | None = None
        self._connecting = trio.Lock()
        self._shared: SharedWatch | None = None

    async def __aenter__(self) -> AsyncClient:
        lines = await open_lines(self.path)
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        self._connection = Connection(lines)
        self._nursery.start_soon(self._connection.run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        manager, nursery = self._manager, self._nursery
        self._manager = self._nursery = self._connection = self._shared = None
        if nursery is not None:
            nursery.cancel_scope.cancel()
        if manager is not None:
            # the block's own exception goes past the nursery, which would wrap it in a group
            await manager.__aexit__(None, None, None)

    async def wait(
        self,
        id: str,  # noqa: A002
        *,
        states: Collection[r.StateName] = DONE,
        timeout: float | None = None,
    ) -> r.Action:
        """Wait until an action has been in one of ``states``; the action as it is then, or already further on.

        Without ``timeout``, in seconds, it waits as long as it takes. All waiting shares one connection. Raises
        WaitTimedOut; WrongState where the action is closed and so never gets there; DaemonUnreachable when the daemon
        stops meanwhile: wait again then.
        """
        with trio.move_on_after(math.inf if timeout is None else timeout):
            return await self._wait(id, frozenset(states))
        raise WaitTimedOut(f"{id} is not {' or '.join(sorted(states))} after {timeout:g} s")

    async def _wait(self, action_id: str, wanted: frozenset[r.StateName]) -> r.Action:
        with self._waiting().waiter(action_id) as waiter:
            while True:
                seen = await waiter.news()
                if seen and "closed" not in seen and not seen & wanted:
                    continue
                action = await self.show(action_id)
                if seen & wanted or action.state in wanted:
                    return action
                error = out_of_reach(action, wanted)
                if error is not None:
                    raise error

    async def _request(self, method: str, params: p.Params, result: type[T]) -> T:
        connection = await self._connected()
        return await connection.request(method, params, result)

    async def _pages(self, method: str, params: p.Params, page: type[T]) -> AsyncIterator[T]:
        while True:
            found = await self._request(method, params, page)
            yield found
            after = getattr(found, "next", None)
            if after is None:
                return
            params = msgspec.structs.replace(params, after=after)

    @asynccontextmanager
    async def _stream(self, method: str, params: p.Params, event: type[T]) -> AsyncIterator[AsyncIterator[T]]:
        async with connect(self.path) as lines:
            stream = Stream(lines, event)
            await stream.begin(method, params)
            yield stream

    async def _connected(self) -> Connection:
        async with self._connecting:
            nursery = self._opened()
            if self._connection is None or self._connection.has_ended:
                connection = Connection(await open_lines(self.path))
                self._connection = connection
                nursery.start_soon(connection.run)
            return self._connection

    def _waiting(self) -> SharedWatch:
        if self._shared is None or self._shared.has_ended:
            self._shared = SharedWatch(lambda after: self.watch(after=after))
            self._opened().start_soon(self._shared.run)
        return self._shared

    def _opened(self) -> trio.Nursery:
        if self._nursery is None:
            raise DaemonUnreachable(f'not connected to {self.path}: use "async with AsyncClient() as ..."')
        return self._nursery
