"""The trio client's connections: many requests under way on one, or one stream."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any, Generic, TypeVar

import msgspec
import trio

from connectord.client.wire import failure, renewed, request_line, typed_json
from connectord.control import params as p
from connectord.control import results as r
from connectord.control.client import QUEUE_PAUSE_SECONDS, not_connected
from connectord.errors import ControlError, DaemonUnreachable, RequestFailed

T = TypeVar("T", bound=r.Result)

_READ_BYTES = 64 * 1024
_LINGER_SECONDS = 1
_CONNECT_SECONDS = 30.0


class _Failure(msgspec.Struct):
    code: int = 0
    message: str = "no reason given"
    data: Any = None

    def exception(self) -> RequestFailed:
        return failure(self.code, self.message, self.data)


class Message(msgspec.Struct):
    """What the daemon says: a reply or, with a ``method``, a notification."""

    id: int | str | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"null")
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Failure | None = None


_DECODER = msgspec.json.Decoder(Message)


class Lines:
    """A stream to the daemon, read message by message. A cancelled read loses nothing."""

    def __init__(self, stream: trio.abc.Stream, path: str) -> None:
        self.stream = stream
        self.path = path
        self._buffer = bytearray()

    async def receive(self) -> Message:
        """The next message. Raises DaemonUnreachable when there is none any more."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            try:
                chunk = await self.stream.receive_some(_READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise DaemonUnreachable(f"the connection to {self.path} broke") from error
            if not chunk:
                raise DaemonUnreachable(f"the daemon at {self.path} closed the connection before it answered")
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            return _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DaemonUnreachable(f"what answers at {self.path} does not speak JSON-RPC: {error}") from error


@asynccontextmanager
async def connect(path: str) -> AsyncIterator[Lines]:
    """A connection. Raises DaemonUnreachable where nobody listens."""
    lines = await open_lines(path)
    try:
        yield lines
    finally:
        await trio.aclose_forcefully(lines.stream)


async def open_lines(path: str) -> Lines:
    """A connection that the caller closes. Raises DaemonUnreachable where nobody listens, or lets nobody in."""
    with ExitStack() as unless_open:
        connection = unless_open.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        connection.setblocking(False)
        try:
            await _connect(connection, path)
        except OSError as error:
            raise not_connected(path, error, _CONNECT_SECONDS) from error
        unless_open.pop_all()
    return Lines(trio.SocketStream(trio.socket.from_stdlib_socket(connection)), path)


async def _connect(connection: socket.socket, path: str) -> None:
    # trio's own takes "the queue is full" for "under way", waits until the socket may be written, and is not connected
    deadline = trio.current_time() + _CONNECT_SECONDS
    while True:
        await trio.lowlevel.checkpoint()
        try:
            connection.connect(path)
        except BlockingIOError:
            if trio.current_time() >= deadline:
                raise
            await trio.sleep(QUEUE_PAUSE_SECONDS)
        else:
            return


class _Reply:
    """The place where one request's answer is put."""

    def __init__(self) -> None:
        self.there = trio.Event()
        self.message: Message | None = None


class Connection:
    """One connection with any number of requests under way. Whoever opens it runs :meth:`run` in a nursery.

    A request that is cancelled leaves it usable: a line is either not begun or written whole, and an answer that
    nobody awaits any more is dropped.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._last_id = 0
        self._replies: dict[int, _Reply] = {}
        # nothing is kept in it: a request waits until the daemon takes the one before
        self._outgoing, self._queue = trio.open_memory_channel[bytes](0)
        self._end: ControlError | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it takes no more requests."""
        return self._end is not None

    async def run(self) -> None:
        """Write and read until the connection ends; never raises for that."""
        end: ControlError = DaemonUnreachable(f"the connection to {self._lines.path} was closed by this client")
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, nursery.cancel_scope)
                end = await self._read()
                nursery.cancel_scope.cancel()
        finally:
            self._finish(end)
            await trio.aclose_forcefully(self._lines.stream)

    async def request(self, method: str, params: p.Params, result: type[T]) -> T:
        """Call a method. Raises DaemonUnreachable, or the RequestFailed that the daemon answers."""
        self._last_id += 1
        request_id = self._last_id
        line = request_line(request_id, method, params)
        reply = self._replies[request_id] = _Reply()
        try:
            try:
                await self._outgoing.send(line)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise self._failed() from None
            await reply.there.wait()
        finally:
            del self._replies[request_id]
        message = reply.message
        if message is None:
            raise self._failed()
        if message.error is not None:
            raise message.error.exception()
        return typed_json(method, message.result, result)

    async def _write(self, connection: trio.CancelScope) -> None:
        try:
            async for line in self._queue:
                await self._lines.stream.send_all(line)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # the daemon closed it and may have said why: reading finds that, or at least the end
            await trio.sleep(_LINGER_SECONDS)
            self._finish(DaemonUnreachable(f"the connection to {self._lines.path} broke"))
            connection.cancel()

    async def _read(self) -> ControlError:
        while True:
            try:
                message = await self._lines.receive()
            except DaemonUnreachable as error:
                return error
            if message.method is not None:
                continue
            if message.error is not None and message.id is None:
                # it is about the connection, which the daemon closes
                return message.error.exception()
            reply = self._replies.get(message.id) if isinstance(message.id, int) else None
            if reply is not None:
                reply.message = message
                reply.there.set()

    def _finish(self, end: ControlError) -> None:
        if self._end is None:
            self._end = end
        self._outgoing.close()
        self._queue.close()
        for reply in self._replies.values():
            reply.there.set()

    def _failed(self) -> ControlError:
        return renewed(self._end or DaemonUnreachable(f"the connection to {self._lines.path} has ended"))


class Stream(Generic[T]):
    """The notifications of one call, typed; an async iterator. Nothing is read ahead of its reader."""

    def __init__(self, lines: Lines, event: type[T]) -> None:
        self._lines = lines
        self._event = event
        self._told: deque[Message] = deque()
        self._ended = False

    async def begin(self, method: str, params: p.Params) -> None:
        """Call the method; when this returns, its stream has begun."""
        # what comes after a stream on the same connection is answered after the stream has begun
        lines = request_line(1, method, params) + request_line(2, "status", p.Nothing())
        with suppress(trio.BrokenResourceError):  # the daemon closed it and may have said why
            await self._lines.stream.send_all(lines)
        while True:
            message = await self._receive()
            if message is None or message.id == 2:
                return
            self._told.append(message)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while True:
            if self._told:
                await trio.lowlevel.checkpoint()
                message: Message | None = self._told.popleft()
            else:
                message = None if self._ended else await self._receive()
            if message is None:
                raise StopAsyncIteration
            if message.method is not None:
                return typed_json(message.method, message.params, self._event)

    async def _receive(self) -> Message | None:
        """The next notification or other reply; None at the stream's end."""
        message = await self._lines.receive()
        if message.error is not None:
            raise message.error.exception()
        if message.method is None and message.id == 1:
            self._ended = True
            return None
        return message
