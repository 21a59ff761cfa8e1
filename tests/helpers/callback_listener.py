"""A callback listener with a handler that a test programs, and requests to it, byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
import trio
import trio.lowlevel
import trio.testing
from connectord.callbacks import (
    CallbackAnswer,
    Limits,
    TokenKey,
    open_callback_listeners,
    serve_callbacks,
)
from connectord.callbacks.connection import DRAIN_READING_SECONDS, Connection, Service
from connectord.callbacks.door import Door
from connectord.callbacks.limits import DEFAULTS, BadTokens

KEY = TokenKey(bytes(range(32)))
ACTION_ID = "01JDEFGHJKMNPQRSTVWXYZ0123"
TOKEN = KEY.issue(ACTION_ID)
BAD_TOKEN = "A" * 48
BODY = b'{"status": "success"}'


@dataclass
class FakeHandler:
    """Remembers what it was given, and answers or raises what it is told to."""

    outcome: CallbackAnswer | Exception = CallbackAnswer.TAKEN
    gate: trio.Event | None = None
    begun: trio.Event = field(default_factory=trio.Event)
    calls: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    async def handle_callback(self, action_id: str, headers: Mapping[str, str], body: bytes) -> CallbackAnswer:
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        await trio.lowlevel.checkpoint()
        self.calls.append((action_id, headers, body))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, _, body in self.calls]


@dataclass(frozen=True)
class Reply:
    """One answer as it was read off the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


def read_replies(wire: bytes, *, head_only: bool = False) -> list[Reply]:
    """Every answer in ``wire``, strictly; a 100 counts as one without headers."""
    replies = []
    while wire:
        head, end, wire = wire.partition(b"\r\n\r\n")
        assert end, head
        status_line, *lines = head.decode("ascii").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 ([1-5][0-9]{2}) [A-Za-z -]+", status_line)
        assert match is not None, status_line
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        assert len(headers) == len(lines)
        status = int(match[1])
        if status == 100:
            assert not headers
            replies.append(Reply(status, headers, b""))
            continue
        length = 0 if head_only else int(headers["content-length"])
        assert len(wire) >= length
        replies.append(Reply(status, headers, wire[:length]))
        wire = wire[length:]
    return replies


def request(
    body: bytes = BODY,
    *,
    token: str = TOKEN,
    method: str = "POST",
    target: str | None = None,
    version: str = "1.1",
    headers: Mapping[str, str | None] | None = None,
) -> bytes:
    """A request with sensible headers; None in ``headers`` takes one away."""
    every: dict[str, str | None] = {
        "Host": "localhost",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    every.update(headers or {})
    lines = [f"{method} {target or '/callback/' + token} HTTP/{version}"]
    lines += [f"{name}: {value}" for name, value in every.items() if value is not None]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", **headers: str) -> bytes:
    every: dict[str, str | None] = {"Content-Length": None, "Transfer-Encoding": "chunked", **headers}
    return request(b"", headers=every) + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + end


@dataclass
class Served:
    """A listener on loopback."""

    port: int
    handler: FakeHandler
    drain: trio.Event
    stopped: trio.Event

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def exchange(self, wire: bytes, *, eof: bool = True, head_only: bool = False) -> list[Reply]:
        """Send, and read until the listener closes; ``eof`` says first that nothing more comes."""
        with trio.fail_after(10):
            async with await self.connect() as stream:
                await stream.send_all(wire)
                if eof:
                    await stream.send_eof()
                return read_replies(await read_all(stream), head_only=head_only)


def begin_draining(service: Service, connection: Connection) -> None:
    service.draining = True
    service.read_until = trio.current_time() + DRAIN_READING_SECONDS
    connection.drain()


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    wire = b""
    while data := await stream.receive_some(65536):
        wire += data
    return wire


async def read_reply(stream: trio.abc.ReceiveStream) -> Reply:
    """One answer; nothing may follow it."""
    wire = b""
    while True:
        data = bytes(await stream.receive_some(65536))
        assert data, f"closed after {wire!r}"
        wire += data
        head, end, body = wire.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if end and len(body) >= (int(length[1]) if length else 0):
            (reply,) = read_replies(wire)
            return reply


@asynccontextmanager
async def listening(
    handler: FakeHandler | None = None, limits: Limits | None = None, now: Callable[[], float] = trio.current_time
) -> AsyncIterator[Served]:
    handler = handler or FakeHandler()
    listeners = await open_callback_listeners("127.0.0.1", 0)
    served = Served(listeners[0].socket.getsockname()[1], handler, trio.Event(), trio.Event())

    async def serve(task_status: trio.TaskStatus[None]) -> None:
        await serve_callbacks(
            listeners,
            key=KEY,
            handler=handler,
            limits=(limits or DEFAULTS).in_force,
            now=now,
            drain=served.drain,
            task_status=task_status,
        )
        served.stopped.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        yield served
        nursery.cancel_scope.cancel()


def make_service(handler: FakeHandler, limits: Limits | None = None) -> Service:
    limits = limits or DEFAULTS
    bad_tokens = BadTokens(trio.current_time)
    return Service(KEY, handler, limits.in_force, bad_tokens, structlog.get_logger().bind())


@dataclass
class InMemory:
    """One connection without a socket, so that time can be simulated."""

    client: trio.abc.HalfCloseableStream
    connection: Connection
    handler: FakeHandler
    ended: trio.Event

    async def say(self, wire: bytes) -> None:
        await self.client.send_all(wire)


@asynccontextmanager
async def connected(
    limits: Limits | None = None,
    handler: FakeHandler | None = None,
    *,
    service: Service | None = None,
    pair: Callable[[], tuple[Any, Any]] = trio.testing.memory_stream_pair,
) -> AsyncIterator[InMemory]:
    handler = handler or FakeHandler()
    client, server = pair()
    service = service or make_service(handler, limits)
    connection = Connection(server, service, address="192.0.2.1", port=4711)
    service.connections.add(connection)
    ended = trio.Event()

    async def serve() -> None:
        await connection.serve()
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        nursery.start_soon(Door(service, partial(Connection, service=service)).let_idle_go)
        yield InMemory(client, connection, handler, ended)
        nursery.cancel_scope.cancel()
