"""The blocking client's connections: what connectorctl's has, and streams that miss nothing."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from connectord.client.wire import failure, plain, typed
from connectord.control import params as p
from connectord.control import results as r
from connectord.control.client import ControlClient
from connectord.errors import RequestFailed

T = TypeVar("T", bound=r.Result)


class Connection(ControlClient):
    """A connection that can tell whether it still stands, and stream."""

    def has_ended(self) -> bool:
        """Whether the daemon has closed it, or it was never opened."""
        if self._socket is None:
            return True
        try:
            self._socket.setblocking(False)  # every send and read sets its own timeout
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def stream(self, method: str, params: p.Params, event: type[T]) -> Stream[T]:
        """Call a method that answers with notifications; when this returns, it has begun."""
        stream_id = self._send(method, plain(method, params))
        # what comes after a stream on the same connection is answered after the stream has begun
        ping_id = self._send("status", {})
        told: deque[dict[str, Any]] = deque()
        while True:
            message, _ = self._receive(self.timeout_seconds)
            if self._is_reply(message, stream_id):
                return Stream(self, stream_id, event, told, ended=True)
            if self._is_reply(message, ping_id):
                return Stream(self, stream_id, event, told, ended=False)
            if "method" in message:
                told.append(message)

    def read_stream(self, stream_id: int, timeout: float | None) -> dict[str, Any] | None:
        """The next notification, or None at the stream's end. TimeoutError after ``timeout`` seconds."""
        while True:
            message, _ = self._message(self._line(timeout))
            if "method" in message:
                return message
            if self._is_reply(message, stream_id):
                return None


class Stream(Generic[T]):
    """The notifications of one call, typed; an iterator. Nothing is read ahead of its reader."""

    def __init__(
        self, connection: Connection, stream_id: int, event: type[T], told: deque[dict[str, Any]], *, ended: bool
    ) -> None:
        self._connection = connection
        self._id = stream_id
        self._event = event
        self._told = told
        self._ended = ended

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        event = self.before(None)
        if event is None:
            raise StopIteration
        return event

    def before(self, deadline: float | None) -> T | None:
        """The next event, or None at the end. TimeoutError past ``deadline``, a time of :func:`time.monotonic`."""
        if self._told:
            message: dict[str, Any] | None = self._told.popleft()
        elif self._ended:
            message = None
        else:
            message = self._read(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if message is None:
            self._ended = True
            return None
        return typed(message["method"], message.get("params"), self._event)

    def _read(self, timeout: float | None) -> dict[str, Any] | None:
        try:
            return self._connection.read_stream(self._id, timeout)
        except RequestFailed as error:
            raise failure(error.code, str(error), error.data) from None
