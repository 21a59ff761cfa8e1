"""The callback listener from outside: every answer, what it logs, and where it listens."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Iterator
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
from helpers.callback_listener import (
    ACTION_ID,
    BAD_TOKEN,
    BODY,
    TOKEN,
    FakeHandler,
    Served,
    chunked,
    listening,
    read_all,
    request,
)
from structlog.typing import EventDict

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
