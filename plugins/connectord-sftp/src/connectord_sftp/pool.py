"""A few connections that are kept open between pieces of work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import trio

from connectord_sftp.answers import StatusError, Truncated

if TYPE_CHECKING:
    from connectord_sftp.connection import Connection
    from connectord_sftp.session import Session

T = TypeVar("T")


class Pool:
    """At most ``most`` connections. Who finds none free waits for its turn."""

    def __init__(self, most: int, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._places = trio.Semaphore(most)
        self._connect = connect
        self._idle: list[Connection] = []
        self._closed = False

    async def run(self, work: Callable[[Session], T]) -> T:
        """Let ``work`` use a session. Raises what :meth:`Connection.run` raises, and what connecting does."""
        async with self._places:
            connection = await self._take()
            usable = False
            try:
                result = await connection.run(work)
                usable = True
            except (StatusError, Truncated):
                usable = True
                raise
            finally:
                if usable and not self._closed:
                    self._idle.append(connection)
                else:
                    await connection.close()
            return result

    async def close(self) -> None:
        """Close what is idle now, and the others when their work ends."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_alive:
                return connection
            await connection.close()
        return await self._connect()
