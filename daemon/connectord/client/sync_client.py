"""The blocking client: one connection for calls, one more for each stream. Standard library sockets, no event loop."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TypeVar

import msgspec

from connectord.client.sync_connection import Connection, Stream
from connectord.client.sync_methods import SyncMethods
from connectord.client.wire import DONE, SocketPath, failure, find_socket, out_of_reach, plain, typed
from connectord.control import params as p
from connectord.control import results as r
from connectord.control.protocol import INVALID_REQUEST, OVERLOADED, PARSE_ERROR
from connectord.errors import DaemonUnreachable, RequestFailed, WaitTimedOut

T = TypeVar("T", bound=r.Result)

_MAY_CLOSE = frozenset({PARSE_ERROR, INVALID_REQUEST, OVERLOADED})


class Client(SyncMethods):
    """A connection to the daemon; a context manager. One thread at a time may use it.

    ``socket`` is the control socket's path; without it ``$CONNECTORD_SOCKET``, else the default. A call waits at most
    ``timeout_seconds`` for its answer. It connects on entering, and anew at the next call after the connection broke;
    a request is never sent twice. Raises :class:`connectord.errors.ControlError`: DaemonUnreachable where no daemon
    answers, and a :class:`connectord.errors.RequestFailed` where it refuses.
    """

    def __init__(self, socket: SocketPath | None = None, *, timeout_seconds: float = 30) -> None:
        self.path = find_socket(socket, os.environ)
        self.timeout_seconds = timeout_seconds
        self._connection: Connection | None = None
        self._entered = False

    def __enter__(self) -> Client:
        self._connection = self._connect()
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._entered = False
        self._disconnect()

    def wait(self, id: str, *, states: Collection[r.StateName] = DONE, timeout: float | None = None) -> r.Action:  # noqa: A002
        """Wait until an action has been in one of ``states``; the action as it is then, or already further on.

        Without ``timeout``, in seconds, it waits as long as it takes. Raises WaitTimedOut; WrongState where the action
        is closed and so never gets there; DaemonUnreachable when the daemon stops meanwhile: wait again then.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._stream("watch", p.Watch(filters=p.WatchFilters(id=id)), r.Event) as events:
            action = self.show(id)
            reached = action.state in states
            while not reached:
                error = out_of_reach(action, states)
                if error is not None:
                    raise error
                try:
                    event = events.before(deadline)
                except TimeoutError:
                    raise WaitTimedOut(f"{id} is {action.state} after {timeout:g} s") from None
                if event is None:
                    raise DaemonUnreachable(f"the daemon at {self.path} tells no more changes")
                reached = event.to in states
                if reached or event.to == "closed":
                    action = self.show(id)
            return action

    def _request(self, method: str, params: p.Params, result: type[T]) -> T:
        arguments = plain(method, params)
        try:
            answer = self._connected().call(method, arguments)
        except DaemonUnreachable:
            self._disconnect()
            raise
        except RequestFailed as error:
            if error.code in _MAY_CLOSE:
                self._disconnect()
            raise failure(error.code, str(error), error.data) from None
        return typed(method, answer, result)

    def _pages(self, method: str, params: p.Params, page: type[T]) -> Iterator[T]:
        while True:
            found = self._request(method, params, page)
            yield found
            after = getattr(found, "next", None)
            if after is None:
                return
            params = msgspec.structs.replace(params, after=after)

    @contextmanager
    def _stream(self, method: str, params: p.Params, event: type[T]) -> Iterator[Stream[T]]:
        with Connection(self.path, self.timeout_seconds) as connection:
            try:
                stream = connection.stream(method, params, event)
            except RequestFailed as error:
                raise failure(error.code, str(error), error.data) from None
            yield stream

    def _connected(self) -> Connection:
        if not self._entered:
            raise DaemonUnreachable(f'not connected to {self.path}: use "with Client() as ..."')
        if self._connection is not None and self._connection.has_ended():
            self._disconnect()
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> Connection:
        connection = Connection(self.path, self.timeout_seconds)
        connection.__enter__()
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
