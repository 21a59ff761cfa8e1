"""The callback listener from outside: every answer, every limit, and what an attacker would try."""

from __future__ import annotations

import errno
import itertools
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
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
from connectord.callbacks.limits import DEFAULTS, BadTokens
from connectord.errors import (
    AddressUnusable,
    CallbackNotAllowed,
    InvalidCallback,
    NotFound,
    Overloaded,
    StoreFailed,
    StoreFull,
    StoreTooNew,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.typing import EventDict

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
    connection = Connection(server, service or make_service(handler, limits), address="192.0.2.1", port=4711)
    ended = trio.Event()

    async def serve() -> None:
        await connection.serve()
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        yield InMemory(client, connection, handler, ended)
        nursery.cancel_scope.cancel()


# --- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "status", "word"), [(CallbackAnswer.TAKEN, 200, "taken"), (CallbackAnswer.LATE, 202, "late")]
)
async def test_a_callback_is_handed_over_and_answered(outcome: CallbackAnswer, status: int, word: str) -> None:
    async with listening(FakeHandler(outcome)) as served:
        (reply,) = await served.exchange(request(headers={"X-Two": "a", "x-two": "b", "WebHook-Id": "\xe9"}))
        assert reply.status == status
        assert reply.body == b'{"status": "%s"}' % word.encode()
        assert reply.headers == {
            "server": "connectord",
            "content-type": "application/json",
            "content-length": str(len(reply.body)),
        }
        ((action_id, headers, body),) = served.handler.calls
        assert action_id == ACTION_ID
        assert body == BODY
        assert headers["x-two"] == "a, b"
        assert headers["webhook-id"] == "\xe9"
        assert headers["host"] == "localhost"


@pytest.mark.parametrize(
    ("error", "status", "detail", "closes"),
    [
        (InvalidCallback('no "status": \ud800'), 400, 'no "status": ?', False),
        (InvalidCallback("x" * 5000), 400, "x" * 1000, False),
        (CallbackNotAllowed("no valid signature"), 401, "no valid signature", False),
        (NotFound("no such action"), 404, "no such action", False),
        (Overloaded("too much at once"), 503, "too much at once", False),
        (StoreFull("/var/lib/x is full"), 503, "the store cannot take it now: nothing was lost, try again", False),
        (StoreFailed("EIO /var/lib/x"), 503, "the store cannot take it now: nothing was lost, try again", False),
        (StoreTooNew("migration 9"), 503, "the store cannot take it now: nothing was lost, try again", False),
        (RuntimeError("secret"), 500, "an error of connectord's own; it is in its log", True),
        (ExceptionGroup("g", [OSError()]), 500, "an error of connectord's own; it is in its log", True),
    ],
)
async def test_what_the_handler_raises(error: Exception, status: int, detail: str, closes: bool) -> None:
    async with listening(FakeHandler(error)) as served:
        replies = await served.exchange(request() + request(), eof=closes is False)
        assert [reply.status for reply in replies] == [status] * (1 if closes else 2)
        reply = replies[0]
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.document == {
            "type": "about:blank",
            "title": httpx.codes.get_reason_phrase(status),
            "status": status,
            "detail": detail,
        }
        assert reply.headers.get("retry-after") == ("5" if status == 503 else None)
        assert reply.headers.get("connection") == ("close" if closes else None)
        served.handler.outcome = CallbackAnswer.TAKEN
        assert [reply.status for reply in await served.exchange(request())] == [200]


async def test_a_handler_that_returns_nonsense_is_a_500() -> None:
    async with listening(FakeHandler(None)) as served:  # type: ignore[arg-type]
        (reply,) = await served.exchange(request())
        assert reply.status == 500


@pytest.mark.parametrize(
    ("status", "wire"),
    [
        (404, request(target="/")),
        (404, request(target="/callback")),
        (404, request(target="/callbacks/" + TOKEN)),
        (404, request(target="*", method="OPTIONS")),
        (404, request(target="example.org:443", method="CONNECT")),
        (404, request(target="http://localhost")),
        (404, request(token=BAD_TOKEN)),
        (404, request(token=TOKEN + "/")),
        (404, request(token=TOKEN + "?a=b")),
        (404, request(token="")),
        (404, request(token="%41" + TOKEN[1:])),
        (405, request(method="GET", body=b"", headers={"Content-Length": None})),
        (405, request(method="PUT")),
        (405, request(method="post")),
        (405, request(method="DELETE", token=BAD_TOKEN)),
        (413, request(b"x" * 101)),
        (413, request(headers={"Content-Length": "99999999999999999999"})),
        (413, chunked(b"x" * 60, b"x" * 41)),
        (413, chunked(b"x" * 5000)),
        (415, request(headers={"Content-Type": "text/plain"})),
        (415, request(headers={"Content-Type": "text/json"})),
        (415, request(headers={"Content-Type": "application/jsonp"})),
        (415, request(headers={"Content-Type": "application/json, text/plain"})),
        (415, request(headers={"Content-Type": "application/json; charset=latin-1"})),
        (415, request(headers={"Content-Type": "+json"})),
        (415, request(headers={"Content-Type": ""})),
        (415, request(headers={"Content-Encoding": "gzip"})),
        (415, request(headers={"Content-Encoding": "identity, br"})),
        (417, request(headers={"Expect": "a miracle"})),
        (431, request(headers={"X-Large": "x" * 2000})),
        (431, request(headers={f"X-{n}": "" for n in range(30)})),
        (505, request(version="2.0")),
        (505, request(version="0.9")),
        (505, request(version="1.2")),
    ],
)
async def test_refused_before_the_handler(status: int, wire: bytes) -> None:
    async with listening(limits=Limits(max_body_bytes=100, max_header_bytes=1000, max_headers=20)) as served:
        replies = await served.exchange(wire)
        assert [reply.status for reply in replies] == [status]
        assert replies[0].headers["content-type"] == "application/problem+json"
        assert replies[0].document["status"] == status
        assert served.handler.calls == []
        if status == 405:
            assert replies[0].headers["allow"] == "POST"


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": None},
        {"Content-Type": "APPLICATION/JSON"},
        {"Content-Type": "application/json;charset=UTF-8"},
        {"Content-Type": 'application/json ; charset="utf-8"'},
        {"Content-Type": "application/json; odata=verbose"},
        {"Content-Type": "application/cloudevents+json; charset=utf8"},
        {"Content-Encoding": "Identity"},
        {"Connection": "keep-alive"},
        {"Upgrade": "h2c", "Connection": "Upgrade"},
        {"X-Obs": "\xff\xe9"},
        {"X-Empty": ""},
    ],
)
async def test_these_are_taken(headers: dict[str, str | None]) -> None:
    async with listening() as served:
        replies = await served.exchange(request(headers=headers) + request())
        assert [reply.status for reply in replies] == [200, 200]
        assert served.handler.bodies == [BODY, BODY]


async def test_the_address_may_be_given_in_full() -> None:
    async with listening() as served:
        (reply,) = await served.exchange(request(target=f"http://localhost:1/callback/{TOKEN}"))
        assert reply.status == 200


async def test_an_empty_body_is_the_handlers_affair() -> None:
    async with listening() as served:
        replies = await served.exchange(request(b"") + request(b"", headers={"Content-Length": None}) + chunked())
        assert [reply.status for reply in replies] == [200, 200, 200]
        assert served.handler.bodies == [b"", b"", b""]


async def test_the_longest_body_is_taken() -> None:
    async with listening(limits=Limits(max_body_bytes=100)) as served:
        replies = await served.exchange(request(b"x" * 100) + chunked(b"y" * 50, b"y" * 50))
        assert [reply.status for reply in replies] == [200, 200]
        assert served.handler.bodies == [b"x" * 100, b"y" * 100]


async def test_a_mebibyte_goes_through() -> None:
    body = bytes(range(256)) * 4096
    async with listening() as served:
        replies = await served.exchange(request(body) + chunked(body[:500_000], body[500_000:]))
        assert [reply.status for reply in replies] == [200, 200]
        assert served.handler.bodies == [body, body]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_head_gets_no_body_and_the_connection_stays_in_step(method: str) -> None:
    async with listening() as served:
        wire = request(b"", method=method, headers={"Content-Length": None})
        replies = await served.exchange(wire + wire, head_only=method == "HEAD")
        assert [reply.status for reply in replies] == [405, 405]
        assert int(replies[0].headers["content-length"]) > 0


async def test_httpx_is_a_client_that_works() -> None:
    async with listening() as served:
        url = f"http://127.0.0.1:{served.port}/callback/"
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            for _ in range(3):
                answer = await client.post(url + TOKEN, json={"status": "success"})
                assert answer.status_code == 200
                assert answer.json() == {"status": "taken"}

            async def pieces() -> AsyncIterator[bytes]:
                yield b'{"status": '
                yield b'"success"}'

            assert (await client.post(url + TOKEN, content=pieces())).status_code == 200
            assert (await client.post(url + BAD_TOKEN, json={})).status_code == 404
            assert (await client.get(url + TOKEN)).status_code == 405
            assert (await client.head(url + TOKEN)).status_code == 405
            assert (await client.post(url + TOKEN, data={"a": "b"})).status_code == 415
            big = await client.post(url + TOKEN, content=b"x" * (1024 * 1024 + 1))
            assert big.status_code == 413
            assert big.json()["detail"] == "the body is too large"
        assert served.handler.bodies[-1] == b'{"status": "success"}'


# --- HTTP -----------------------------------------------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with listening() as served:
        wire = b""
        for number in range(20):
            body = json.dumps({"n": number}).encode()
            wire += request(body) if number % 3 else chunked(body[:3], body[3:])
        wire += request(token=BAD_TOKEN)
        replies = await served.exchange(wire)
        assert [reply.status for reply in replies] == [200] * 20 + [404]
        assert [json.loads(body)["n"] for body in served.handler.bodies] == list(range(20))


async def test_one_byte_at_a_time() -> None:
    async with listening() as served:
        with trio.fail_after(10):
            async with await served.connect() as stream:
                for byte in request() + chunked(b"abc", b"de"):
                    await stream.send_all(bytes([byte]))
                await stream.send_eof()
                replies = read_replies(await read_all(stream))
        assert [reply.status for reply in replies] == [200, 200]
        assert served.handler.bodies == [BODY, b"abcde"]


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(1, 700)))
async def test_how_the_bytes_are_cut_makes_no_difference(cuts: set[int]) -> None:
    wire = request(b"first") + chunked(b"sec", b"ond") + request(b"", method="GET") + request(b"third")
    async with connected() as memory:
        edges = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
        for begin, end in itertools.pairwise(edges):
            await memory.say(wire[begin:end])
            await trio.testing.wait_all_tasks_blocked()
        await memory.client.send_eof()
        replies = read_replies(await read_all(memory.client))
        assert [reply.status for reply in replies] == [200, 200, 405, 200]
        assert memory.handler.bodies == [b"first", b"second", b"third"]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([request(), chunked(b"abc", b"defg"), request(version="1.0")]),
    st.integers(0, 300),
    st.integers(0, 3),
    st.binary(max_size=3),
)
async def test_damaged_requests_are_answered_and_break_nothing(wire: bytes, at: int, cut: int, put: bytes) -> None:
    handler = FakeHandler()
    async with connected(handler=handler) as memory:
        await memory.say(wire[:at] + put + wire[at + cut :])
        await memory.client.send_eof()
        replies = read_replies(await read_all(memory.client))
        await memory.ended.wait()
    assert len([reply for reply in replies if reply.status == 200]) == len(handler.calls)
    assert all(action_id == ACTION_ID for action_id, _, _ in handler.calls)
    assert all(reply.status < 500 or reply.status in (501, 505) for reply in replies)


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=300))
async def test_noise_is_refused(noise: bytes) -> None:
    async with connected() as memory:
        await memory.say(noise)
        await memory.client.send_eof()
        (reply,) = read_replies(await read_all(memory.client))
        assert reply.status in (400, 431)
        await memory.ended.wait()


async def test_http_1_0_is_answered_and_closed() -> None:
    async with listening() as served:
        for headers in ({}, {"Connection": "keep-alive"}, {"Host": None}):
            replies = await served.exchange(request(version="1.0", headers=headers) * 2, eof=False)
            assert [reply.status for reply in replies] == [200]
            assert replies[0].headers["connection"] == "close"
        assert len(served.handler.calls) == 3


@pytest.mark.parametrize("value", ["close", "Close", "keep-alive, close", "x,CLOSE ,y"])
async def test_a_client_that_wants_to_close_is_closed(value: str) -> None:
    async with listening() as served:
        replies = await served.exchange(request(headers={"Connection": value}) * 2, eof=False)
        assert [reply.status for reply in replies] == [200]
        assert replies[0].headers["connection"] == "close"


async def test_keep_alive_until_the_last_request_of_a_connection() -> None:
    async with listening(limits=Limits(max_requests_per_connection=3)) as served:
        with trio.fail_after(10):
            async with await served.connect() as stream:
                for last in (False, False, True):
                    await stream.send_all(request())
                    reply = await read_reply(stream)
                    assert reply.headers.get("connection") == ("close" if last else None)
                assert await read_all(stream) == b""


async def test_expect_100_continue() -> None:
    async with listening() as served:
        expecting = request(headers={"Expect": "100-Continue"})
        head, body = expecting[: -len(BODY)], BODY
        with trio.fail_after(10):
            async with await served.connect() as stream:
                await stream.send_all(head)
                assert await stream.receive_some(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
                await stream.send_all(body)
                assert (await read_reply(stream)).status == 200
                await stream.send_all(chunked(Expect="100-continue")[:-5])
                assert await stream.receive_some(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
                await stream.send_all(b"2\r\n{}\r\n0\r\n\r\n")
                assert (await read_reply(stream)).status == 200
                await stream.send_all(expecting)  # the body is there already: no 100
                assert (await read_reply(stream)).status == 200
        refused = request(b"", headers={"Expect": "100-continue", "Content-Length": "9999999"})
        assert [reply.status for reply in await served.exchange(refused, eof=False)] == [413]
        old = request(version="1.0", headers={"Expect": "100-continue"})
        assert [reply.status for reply in await served.exchange(old)] == [200]
        assert served.handler.bodies == [BODY, b"{}", BODY, BODY]


@pytest.mark.parametrize(
    ("version", "sent_at_once"), [("1.0", 0), ("1.1", 1)], ids=["HTTP/1.0 has none", "the body has begun"]
)
async def test_no_100_continue_where_nobody_waits_for_it(version: str, sent_at_once: int) -> None:
    wire = request(version=version, headers={"Expect": "100-continue", "Connection": "close"})
    cut = len(wire) - len(BODY) + sent_at_once
    async with connected() as memory:
        await memory.say(wire[:cut])
        await trio.testing.wait_all_tasks_blocked()
        await memory.say(wire[cut:])
        assert (await read_reply(memory.client)).status == 200


# --- smuggling and malformed requests -------------------------------------------------------------------------------

SMUGGLED = request(b"smuggled")


@pytest.mark.parametrize(
    ("status", "wire"),
    [
        (400, request(b"0\r\n\r\n", headers={"Transfer-Encoding": "chunked"})),
        (400, request(headers={"Transfer-Encoding": "chunked", "Content-Length": "0"})),
        (400, chunked(b"abc").replace(b"HTTP/1.1", b"HTTP/1.0")),
        (501, request(headers={"Content-Length": None, "Transfer-Encoding": "gzip, chunked"})),
        (501, request(headers={"Content-Length": None, "Transfer-Encoding": "xchunked"})),
        (501, request(headers={"Content-Length": None, "Transfer-Encoding": "chunked, identity"})),
        (501, request(headers={"Content-Length": None, "Transfer-Encoding": "chunked", "transfer-encoding": "x"})),
        (400, request(headers={"Transfer-Encoding\t": "chunked"})),
        (400, request(headers={"Transfer-Encoding ": "chunked", "Content-Length": None})),
        (400, request(headers={"Content-Length": "5", "content-length": "6"})),
        (400, request(headers={"Content-Length": "5, 6"})),
        (400, request(headers={"Content-Length": "+5"})),
        (400, request(headers={"Content-Length": "-1"})),
        (400, request(headers={"Content-Length": "0x5"})),
        (400, request(headers={"Content-Length": "5 5"})),
        (400, request(headers={"Content-Length": ""})),
        (400, request(headers={"Content-Length": "9" * 30})),
        (400, request().replace(b"\r\n", b"\n")),
        (400, request().replace(b"localhost\r\n", b"localhost\n")),
        (400, request().replace(b"localhost\r\n", b"localhost\r")),
        (400, request().replace(b"localhost", b"local\rhost")),
        (400, request().replace(b"localhost\r\n", b"localhost\r\n folded: yes\r\n")),
        (400, request().replace(b"localhost\r\n", b"localhost\r\n\tfolded\r\n")),
        (400, request().replace(b"localhost", b"local\x00host")),
        (400, request().replace(b"localhost", b"local\x01host")),
        (400, request().replace(b"localhost", b"local\x7fhost")),
        (400, request(headers={"Bad Name": "x"})),
        (400, request(headers={"": "x"})),
        (400, request(headers={"Host": None})),
        (400, request(headers={"host": "another"})),
        (400, b"\r\n" + request()),
        (400, b" " + request()),
        (400, request().replace(b" HTTP/1.1", b"")),
        (400, request().replace(b" HTTP/1.1", b"  HTTP/1.1")),
        (400, request().replace(b"HTTP/1.1", b"http/1.1")),
        (400, request(token="\xe9" + TOKEN[1:])),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)),
        (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (400, chunked(end=b"x\r\nabc\r\n0\r\n\r\n")),
        (400, chunked(end=b"-1\r\n\r\n")),
        (400, chunked(end=b"0x3\r\nabc\r\n0\r\n\r\n")),
        (400, chunked(end=b"3\nabc\r\n0\r\n\r\n")),
        (400, chunked(end=b"3;a\nb\r\nabc\r\n0\r\n\r\n")),
        (400, chunked(end=b"3\r\nabcd\r\n0\r\n\r\n")),
        (400, chunked(end=b"3\r\nabc\n0\r\n\r\n")),
        (400, chunked(b"abc", end=b"0\r\n\n")),
        (400, chunked(b"abc", end=b"0\r\nX-Trailer: 1\r\n\r\n")),
        (400, chunked(b"abc", end=b"0\r\nX-Trailer: 1\n\r\n")),
        (400, chunked(b"abc", end=b"0\r\nno trailer\r\n\r\n")),
        (400, chunked(end=b"9" * 21 + b"\r\n")),
    ],
)
async def test_an_ambiguous_request_ends_the_connection(status: int, wire: bytes) -> None:
    async with listening() as served:
        replies = await served.exchange(wire + SMUGGLED)
        assert [reply.status for reply in replies] == [status]
        assert replies[0].headers["connection"] == "close"
        assert TOKEN.encode() not in replies[0].body
        assert served.handler.calls == []


@pytest.mark.parametrize(
    "wire",
    [
        request(method="GET"),
        request(target="/elsewhere"),
        request(token=BAD_TOKEN),
        request(b"", token=BAD_TOKEN),
        request(headers={"Content-Type": "text/plain"}),
        request(headers={"Expect": "more"}),
    ],
)
async def test_a_refused_requests_body_is_not_the_next_request(wire: bytes) -> None:
    async with listening() as served:
        replies = await served.exchange(wire + SMUGGLED, eof=False)
        assert len(replies) == 1
        assert replies[0].headers["connection"] == "close"
        assert served.handler.calls == []


@pytest.mark.parametrize(
    "part", ["a\n", "a\rb", "a\r\n b", "a\r\n\tb", "a\x00", "a\x1b", "a" * 20_000, "a\r\nb:" * 200]
)
async def test_what_can_no_longer_become_a_request_is_refused_before_its_end(part: str) -> None:
    async with listening() as served:
        (reply,) = await served.exchange(f"POST /callback/{TOKEN} HTTP/1.1\r\nHost: {part}".encode(), eof=False)
        assert reply.status == (431 if len(part) > 100 else 400)


async def test_equal_content_lengths_are_one() -> None:
    async with listening() as served:
        replies = await served.exchange(request(b"hello", headers={"content-length": "5"}) + request())
        assert [reply.status for reply in replies] == [200, 200]
        assert served.handler.bodies == [b"hello", BODY]


async def test_chunk_extensions_are_ignored_and_bounded() -> None:
    limits = Limits(max_body_bytes=100, max_header_bytes=300)
    async with listening(limits=limits) as served:
        replies = await served.exchange(chunked(end=b"3;name=value\r\nabc\r\n0;last\r\n\r\n") + request())
        assert [reply.status for reply in replies] == [200, 200]
        assert served.handler.bodies == [b"abc", BODY]
        (reply,) = await served.exchange(chunked(end=b"1;" + b"x" * 20_000))
        assert reply.status == 431
        # 20 bytes of body, but 20 kB of framing around it
        with trio.fail_after(10):
            async with await served.connect() as stream:
                await stream.send_all(chunked(end=b""))
                for _ in range(20):
                    await stream.send_all(b"1;" + b"x" * 200 + b"\r\na\r\n")
                    await trio.lowlevel.checkpoint()
                assert (await read_reply(stream)).status == 413
        assert len(served.handler.calls) == 2


# --- peers that go away ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 20, len(request()) - len(BODY), len(request()) - 1])
async def test_half_a_request_is_never_handed_over(cut: int) -> None:
    async with listening() as served:
        assert [reply.status for reply in await served.exchange(request()[:cut])] == [400]
        assert [reply.status for reply in await served.exchange(chunked(b"abc")[:-1])] == [400]
        stream = await served.connect()
        await stream.send_all(request()[:cut])
        await trio.aclose_forcefully(stream)
        assert [reply.status for reply in await served.exchange(request())] == [200]
        assert served.handler.bodies == [BODY]


async def test_a_peer_that_only_connects_gets_nothing() -> None:
    async with listening() as served:
        assert await served.exchange(b"") == []


async def test_a_peer_that_resets_while_handled_does_not_stop_the_handler() -> None:
    gate = trio.Event()
    async with listening(FakeHandler(gate=gate)) as served:
        stream = await served.connect()
        await stream.send_all(request())
        await served.handler.begun.wait()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # close means reset
        await stream.aclose()
        gate.set()
        assert [reply.status for reply in await served.exchange(request())] == [200]
        assert len(served.handler.calls) == 2


async def test_the_answer_arrives_although_the_body_is_still_being_sent() -> None:
    async with listening(limits=Limits(max_body_bytes=1_000_000)) as served:
        with trio.fail_after(10):
            async with await served.connect() as stream:
                await stream.send_all(request(b"x" * 900_000, token=BAD_TOKEN))
                await stream.send_eof()
                (reply,) = read_replies(await read_all(stream))
        assert reply.status == 404


@pytest.mark.parametrize("wire", [request(b"x" * 5_000_000), chunked(b"x" * 5_000_000)], ids=["whole", "chunked"])
async def test_a_body_far_too_large_is_told_and_not_reset(wire: bytes) -> None:
    async with listening(limits=Limits(max_body_bytes=100_000)) as served:
        assert [reply.status for reply in await served.exchange(wire)] == [413]


# --- limits in time (simulated) -------------------------------------------------------------------------------------

TIMES = Limits(
    header_timeout_seconds=10,
    body_timeout_seconds=30,
    idle_timeout_seconds=60,
    write_timeout_seconds=7,
    linger_timeout_seconds=2,
)


async def test_a_connection_that_says_nothing_is_closed(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(TIMES) as memory:
        assert await read_all(memory.client) == b""
        assert trio.current_time() == pytest.approx(10)


async def test_slow_headers_are_cut_however_steadily_they_come(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(TIMES) as memory, trio.open_nursery() as nursery:

        async def drip() -> None:
            with suppress(trio.BrokenResourceError):
                for byte in request():
                    await memory.say(bytes([byte]))
                    await trio.sleep(1)

        nursery.start_soon(drip)
        reply = await read_reply(memory.client)
        assert reply.status == 408
        assert reply.headers["connection"] == "close"
        assert trio.current_time() == pytest.approx(10)
        assert await read_all(memory.client) == b""
        await memory.ended.wait()
        assert trio.current_time() == pytest.approx(12)  # the lingering, as it goes on dripping
        nursery.cancel_scope.cancel()
    assert memory.handler.calls == []


async def test_a_later_requests_headers_have_their_own_time(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(TIMES) as memory:
        await memory.say(request())
        assert (await read_reply(memory.client)).status == 200
        await trio.sleep(55)
        await memory.say(request()[:30])
        await trio.sleep(9)
        await memory.say(request()[30:])
        assert (await read_reply(memory.client)).status == 200
        await memory.say(request()[:30])
        assert (await read_reply(memory.client)).status == 408
        assert trio.current_time() == pytest.approx(74)


@pytest.mark.parametrize("wire", [request(b"x" * 1000), chunked(b"x" * 1000)])
async def test_slow_bodies_are_cut_however_steadily_they_come(
    wire: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(TIMES) as memory, trio.open_nursery() as nursery:
        end = wire.index(b"\r\n\r\n") + 4

        async def drip() -> None:
            await memory.say(wire[:end])
            for byte in wire[end:]:
                await memory.say(bytes([byte]))
                await trio.sleep(1)

        nursery.start_soon(drip)
        assert (await read_reply(memory.client)).status == 408
        assert trio.current_time() == pytest.approx(30)
        nursery.cancel_scope.cancel()
    assert memory.handler.calls == []


async def test_an_idle_connection_is_closed_without_a_word(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(TIMES) as memory:
        await memory.say(request())
        assert (await read_reply(memory.client)).status == 200
        assert await read_all(memory.client) == b""
        assert trio.current_time() == pytest.approx(60)


async def test_a_handler_may_take_its_time(autojump_clock: trio.testing.MockClock) -> None:
    gate = trio.Event()
    async with connected(TIMES, FakeHandler(gate=gate)) as memory:
        await memory.say(request())
        await trio.sleep(1000)
        gate.set()
        assert (await read_reply(memory.client)).status == 200


async def test_a_peer_that_does_not_read_is_cut(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(TIMES, pair=trio.testing.lockstep_stream_pair) as memory:
        await memory.say(request())
        await memory.ended.wait()
        assert trio.current_time() == pytest.approx(7)
        assert len(memory.handler.calls) == 1


async def test_lingering_ends_in_time_and_in_bytes(autojump_clock: trio.testing.MockClock) -> None:
    limits = Limits(max_body_bytes=1000, linger_timeout_seconds=2)
    async with connected(limits) as memory:
        await memory.say(request(token=BAD_TOKEN))
        assert (await read_reply(memory.client)).status == 404
        await memory.ended.wait()
        assert trio.current_time() == pytest.approx(2)
    async with connected(limits) as memory:
        await memory.say(request(b"x" * 5000, token=BAD_TOKEN))
        await memory.say(b"x" * 70_000)
        await memory.ended.wait()
        assert trio.current_time() == pytest.approx(2)  # not 4


@pytest.mark.parametrize("slow", [request()[:10], request()[:-1]], ids=["headers", "body"])
async def test_a_peer_that_does_not_read_its_408_is_cut(slow: bytes, autojump_clock: trio.testing.MockClock) -> None:
    async with connected(TIMES, pair=trio.testing.lockstep_stream_pair) as memory:
        await memory.say(slow)
        await memory.ended.wait()
        assert trio.current_time() == pytest.approx(10 + 7 if len(slow) == 10 else 30 + 7)


# --- limits in number -----------------------------------------------------------------------------------------------


async def test_too_many_bad_tokens_are_429_and_good_ones_go_on() -> None:
    clock = [1000.0]
    async with listening(limits=Limits(guesses_per_minute=3), now=lambda: clock[0]) as served:

        async def guess() -> Reply:
            (reply,) = await served.exchange(request(token=BAD_TOKEN))
            return reply

        assert [(await guess()).status for _ in range(3)] == [404, 404, 404]
        clock[0] += 20.5
        reply = await guess()
        assert reply.status == 429
        assert reply.headers["retry-after"] == "40"
        assert [reply.status for reply in await served.exchange(request())] == [200]
        clock[0] += 39
        assert (await guess()).headers["retry-after"] == "1"
        clock[0] += 1
        assert (await guess()).status == 404


def test_the_table_of_addresses_is_bounded_and_forgets_the_oldest() -> None:
    table = BadTokens(lambda: 0.0, most_addresses=3)
    for address in ("a", "b", "c"):
        assert table.count(address, 1) == 0
    assert table.count("a", 1) == 60
    assert table.count("d", 1) == 0  # b goes, which was seen longest ago
    assert len(table) == 3
    assert table.count("a", 1) == 60
    assert table.count("b", 1) == 0
    assert len(table) == 3


async def test_one_connection_too_many_is_refused_without_reading_where_all_are_at_work() -> None:
    handler = FakeHandler(gate=trio.Event())
    assert handler.gate is not None
    with structlog.testing.capture_logs() as logs:
        async with listening(handler, Limits(max_connections=2, place_patience_seconds=0.1)) as served:
            with trio.fail_after(10):
                first, second = await served.connect(), await served.connect()
                for stream in (first, second):
                    await stream.send_all(request())
                await trio.testing.wait_all_tasks_blocked(0.01)
                for _ in range(5):
                    async with await served.connect() as stream:
                        (reply,) = read_replies(await read_all(stream))
                        assert reply.status == 503
                        assert reply.headers["retry-after"] == "5"
                        assert reply.headers["connection"] == "close"
                handler.gate.set()
                for stream in (first, second):  # those that are in are served on
                    assert (await read_reply(stream)).status == 200
                assert [reply.status for reply in await served.exchange(request())] == [200]
        warnings = [entry for entry in logs if entry["log_level"] == "warning"]
    assert [entry["event"] for entry in warnings] == ["callback_connections_exhausted"]
    await first.aclose()
    await second.aclose()


async def test_a_burst_of_connections_beyond_the_limit_is_answered_without_a_refusal() -> None:
    statuses: list[int] = []
    async with listening(limits=Limits(max_connections=4)) as served:

        async def call_back() -> None:
            statuses.extend(reply.status for reply in await served.exchange(request()))

        with trio.fail_after(20):
            async with trio.open_nursery() as callers:
                for _ in range(100):
                    callers.start_soon(call_back)
    assert statuses == [200] * 100


async def test_who_is_refused_after_sending_can_read_why() -> None:
    handler = FakeHandler(gate=trio.Event())
    async with listening(handler, Limits(max_connections=1, place_patience_seconds=0.1)) as served:
        with trio.fail_after(10):
            async with await served.connect() as first:
                await first.send_all(request())
                await handler.begun.wait()
                for _ in range(20):
                    assert [reply.status for reply in await served.exchange(request(), eof=False)] == [503]


class FlakyListener(trio.abc.Listener[trio.SocketStream]):
    """Fails to accept once."""

    def __init__(self, listener: trio.SocketListener, number: int) -> None:
        self.listener = listener
        self.number: int | None = number

    async def accept(self) -> trio.SocketStream:
        if self.number is not None:
            number, self.number = self.number, None
            raise OSError(number, "no more")
        return await self.listener.accept()

    async def aclose(self) -> None:
        await self.listener.aclose()


async def test_running_out_of_file_descriptors_does_not_end_the_listener() -> None:
    (listener,) = await open_callback_listeners("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[None]) -> None:
            flaky = FlakyListener(listener, errno.EMFILE)
            await serve_callbacks([flaky], key=KEY, handler=FakeHandler(), task_status=task_status)

        await nursery.start(serve)
        served = Served(listener.socket.getsockname()[1], FakeHandler(), trio.Event(), trio.Event())
        assert [reply.status for reply in await served.exchange(request())] == [200]
        nursery.cancel_scope.cancel()


# --- draining -------------------------------------------------------------------------------------------------------


async def test_draining_closes_what_is_idle_and_finishes_what_is_under_way() -> None:
    gate = trio.Event()
    async with listening() as served:
        with trio.fail_after(10):
            idle, busy, half = await served.connect(), await served.connect(), await served.connect()
            await idle.send_all(request())
            assert (await read_reply(idle)).status == 200
            await half.send_all(request())
            assert (await read_reply(half)).status == 200
            served.handler.gate = gate
            served.handler.begun = trio.Event()
            await half.send_all(request()[:-1])
            await busy.send_all(request())
            await served.handler.begun.wait()
            served.drain.set()
            assert await read_all(idle) == b""
            await idle.aclose()
            with pytest.raises(OSError, match="all attempts to connect"):
                await served.connect()
            assert not served.stopped.is_set()
            gate.set()
            for stream, rest in ((busy, b""), (half, request()[-1:])):
                if rest:
                    await stream.send_all(rest)
                (reply,) = read_replies(await read_all(stream))
                assert reply.status == 200
                assert reply.headers["connection"] == "close"
                await stream.aclose()
            await served.stopped.wait()
    assert len(served.handler.calls) == 4


async def test_draining_with_nobody_there_returns_at_once() -> None:
    async with listening() as served:
        with trio.fail_after(10):
            served.drain.set()
            await served.stopped.wait()


async def test_who_has_just_connected_gets_a_moment_to_send(autojump_clock: trio.testing.MockClock) -> None:
    handler = FakeHandler()
    service = make_service(handler)
    service.draining = True
    async with connected(handler=handler, service=service) as memory:
        await trio.sleep(0.5)
        await memory.say(request())
        reply = await read_reply(memory.client)
        assert reply.status == 200
        assert reply.headers["connection"] == "close"
    began = trio.current_time()
    async with connected(service=service) as memory:
        assert await read_all(memory.client) == b""
        assert trio.current_time() - began == pytest.approx(1)


async def test_a_request_that_comes_just_as_draining_begins_is_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    handler = FakeHandler()
    service = make_service(handler)
    async with connected(handler=handler, service=service) as memory:
        await memory.say(request())
        assert (await read_reply(memory.client)).status == 200
        await trio.testing.wait_all_tasks_blocked()
        await memory.say(request())
        begin_draining(service, memory.connection)  # before the connection's task has run
        reply = await read_reply(memory.client)
        assert reply.status == 200
        assert reply.headers["connection"] == "close"
    assert len(handler.calls) == 2


async def test_a_busy_connection_may_send_one_more_request_while_draining(
    autojump_clock: trio.testing.MockClock,
) -> None:
    service = make_service(FakeHandler())
    async with connected(service=service) as memory:
        await memory.say(request())
        assert (await read_reply(memory.client)).status == 200
        begin_draining(service, memory.connection)
        await trio.sleep(0.2)
        await memory.say(request())
        reply = await read_reply(memory.client)
        assert (reply.status, reply.headers["connection"]) == (200, "close")


@pytest.mark.parametrize("sent", [request()[:-1], request()[:20]], ids=["body", "head"])
async def test_half_a_request_gets_503_at_the_end_of_draining(
    autojump_clock: trio.testing.MockClock, sent: bytes
) -> None:
    handler = FakeHandler()
    service = make_service(handler)
    async with connected(handler=handler, service=service) as memory:
        await memory.say(request())
        assert (await read_reply(memory.client)).status == 200
        began = trio.current_time()
        await memory.say(sent)
        await trio.testing.wait_all_tasks_blocked()
        begin_draining(service, memory.connection)
        reply = await read_reply(memory.client)
        assert (reply.status, reply.headers["connection"]) == (503, "close")
        assert reply.headers["retry-after"] == "5"
        assert trio.current_time() - began == pytest.approx(DRAIN_READING_SECONDS)
    assert len(handler.calls) == 1


async def test_draining_while_an_answer_is_sent_closes_after_it(autojump_clock: trio.testing.MockClock) -> None:
    handler = FakeHandler()
    service = make_service(handler)
    async with connected(handler=handler, service=service, pair=trio.testing.lockstep_stream_pair) as memory:
        await memory.say(request())
        await trio.testing.wait_all_tasks_blocked()
        assert len(handler.calls) == 1
        service.draining = True
        memory.connection.drain()
        assert (await read_reply(memory.client)).status == 200
        assert await read_all(memory.client) == b""
        assert trio.current_time() == pytest.approx(0)


async def test_cancelling_closes_everything() -> None:
    handler = FakeHandler(gate=trio.Event())
    (listener,) = await open_callback_listeners("127.0.0.1", 0)
    port = listener.socket.getsockname()[1]
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                await serve_callbacks([listener], key=KEY, handler=handler)

            nursery.start_soon(serve)
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(request())
            await handler.begun.wait()
            nursery.cancel_scope.cancel()
        assert await read_all(stream) == b""
        await stream.aclose()
    assert listener.socket.fileno() == -1


# --- the log --------------------------------------------------------------------------------------------------------


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Every log line, at debug, with local variables in the tracebacks: as much as a log could ever tell."""
    lines: list[str] = []

    def keep(logger: Any, method: str, event: EventDict) -> EventDict:
        lines.append(json.dumps({**event, "level": method}, default=repr))
        raise structlog.DropEvent

    before = structlog.get_config()
    transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=True, locals_max_string=10_000)
    structlog.configure(processors=[structlog.processors.ExceptionRenderer(transformer), keep])
    yield lines
    structlog.configure(**before)


async def test_a_token_is_never_logged(logged: list[str]) -> None:
    almost = TOKEN[:-1] + ("A" if TOKEN[-1] != "A" else "B")
    async with listening(limits=Limits(guesses_per_minute=1)) as served:
        for outcome in (CallbackAnswer.TAKEN, InvalidCallback("no"), StoreFull("full"), RuntimeError("oh")):
            served.handler.outcome = outcome
            await served.exchange(request())
        for wire in (
            request(token=almost),
            request(token=almost),
            request(method="GET"),
            request(headers={"Host": None}),
            request(version="3.0"),
            request(token=TOKEN + "\xe9"),
            request(token=TOKEN + " "),
            request()[:60],
            request()[:-1],
            chunked(b"abc", end=b"x"),
        ):
            await served.exchange(wire)
    assert len(logged) >= 14
    assert any('"level": "debug"' in line and ACTION_ID in line and '"status": 200' in line for line in logged)
    assert [line for line in logged if '"level": "warning"' in line and "StoreFull: full" in line]
    (failed,) = [line for line in logged if '"level": "error"' in line]
    assert "callback_handler_failed" in failed
    assert "RuntimeError" in failed
    assert "handle_callback" in failed
    for line in logged:
        assert TOKEN not in line
        assert almost not in line
        assert "127.0.0.1" in line


class BrokenKey(TokenKey):
    """A bug in the listener's own code."""

    def verify(self, token: str) -> str | None:
        raise RuntimeError(f"cannot verify {token}")


async def test_a_bug_of_our_own_ends_one_connection_and_tells_no_token(logged: list[str]) -> None:
    (listener,) = await open_callback_listeners("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await serve_callbacks([listener], key=BrokenKey(bytes(32)), handler=FakeHandler())

        nursery.start_soon(serve)
        served = Served(listener.socket.getsockname()[1], FakeHandler(), trio.Event(), trio.Event())
        for _ in range(2):
            with trio.fail_after(10):
                async with await served.connect() as stream:
                    await stream.send_all(request(b""))
                    assert await read_all(stream) == b""
        with trio.fail_after(10):
            while len(logged) < 2:
                await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
    assert len(logged) == 2
    assert "callback_connection_failed" in logged[0]
    assert "RuntimeError" in logged[0]
    assert "in verify" in logged[0]
    assert TOKEN not in "".join(logged)


# --- addresses ------------------------------------------------------------------------------------------------------


async def test_a_taken_port_is_told() -> None:
    (listener,) = await open_callback_listeners("127.0.0.1", 0)
    port = listener.socket.getsockname()[1]
    async with listener:
        with pytest.raises(AddressUnusable, match=rf"callbacks.bind: 127.0.0.1:{port}: .* another program listens"):
            await open_callback_listeners("127.0.0.1", port)


async def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(AddressUnusable, match=r"192.0.2.1:0: .* no network interface of this machine"):
        await open_callback_listeners("192.0.2.1", 0)


@pytest.mark.parametrize("port", [-1, 65536])
async def test_a_port_out_of_range_is_told(port: int) -> None:
    with pytest.raises(AddressUnusable, match="the port must be from 0 to 65535"):
        await open_callback_listeners("127.0.0.1", port)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "take one from 1024 up"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "cannot be resolved"),
        (OSError(errno.EAFNOSUPPORT, "Address family not supported"), "take an IPv4 address"),
        (OSError(errno.ENOBUFS, "No buffer space"), "take another address"),
    ],
)
async def test_every_other_failure_says_what_to_do(
    error: OSError, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(port: int, *, host: str) -> Awaitable[list[trio.SocketListener]]:
        raise error

    monkeypatch.setattr(trio, "open_tcp_listeners", fail)
    with pytest.raises(AddressUnusable, match=advice) as refusal:
        await open_callback_listeners("::1", 80)
    assert "[::1]:80" in str(refusal.value)
