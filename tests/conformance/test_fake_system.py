"""The fake system does what a test asks of it, on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from connectord.testing import (
    Answer,
    CutBody,
    Drop,
    FakeSystem,
    Fault,
    Hang,
    HugeBody,
    Malformed,
    Request,
    Reset,
    Say,
    SlowBody,
    SlowHeaders,
    TlsGarbage,
    TooManyRequests,
    Unavailable,
)

REQUEST = b"POST /jobs HTTP/1.1\r\nHost: fake\r\nContent-Length: 2\r\n\r\n{}"


def answer(request: Request) -> Answer:
    return Answer.of_json({"id": "J-1"}, 202)


@pytest.fixture
async def system() -> AsyncIterator[FakeSystem]:
    async with FakeSystem(answer=answer).serve() as serving:
        yield serving


async def ask(system: FakeSystem, *, seconds: float = 5.0, request: bytes = REQUEST, most: int = 10**9) -> bytes:
    """What comes back until the connection is closed, or until ``seconds`` have passed."""
    received = b""
    async with await trio.open_tcp_stream("127.0.0.1", system.port) as stream:
        await stream.send_all(request)
        with trio.move_on_after(seconds):
            while len(received) < most and (data := await stream.receive_some(65536)):
                received += data
    return received


GOOD = answer(Request("POST", "/jobs", {}, b"")).encode()


@pytest.mark.parametrize(
    ("fault", "begins", "ends"),
    [
        (Say(Answer(418)), b"HTTP/1.1 418 ", b"\r\n\r\n"),
        (Unavailable(502), b"HTTP/1.1 502 Bad Gateway\r\n", b"</html>"),
        (TooManyRequests(9), b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 9\r\n", b"\r\n\r\n"),
        (Drop(), b"", b""),
        (Drop(20), GOOD[:20], GOOD[:20]),
        (CutBody(), b"HTTP/1.1 200 OK\r\n", b'Content-Length: 1000\r\n\r\n{"sta'),
        (Malformed(), b"HTTP/9.9", b"{}"),
        (TlsGarbage(), b"\x15\x03\x01", b"\xfe\xff"),
    ],
    ids=str,
)
async def test_faults_that_end(system: FakeSystem, fault: Fault, begins: bytes, ends: bytes) -> None:
    system.script(fault)
    received = await ask(system)
    assert received.startswith(begins)
    assert received.endswith(ends)
    assert (await ask(system, most=len(GOOD))) == GOOD
    assert len(system.requests) == 2


@pytest.mark.parametrize("after_bytes", [0, 20])
async def test_a_reset_is_one(system: FakeSystem, after_bytes: int) -> None:
    system.script(Reset(after_bytes))
    async with await trio.open_tcp_stream("127.0.0.1", system.port) as stream:
        await stream.send_all(REQUEST)
        if after_bytes:
            assert await stream.receive_some(1000) == GOOD[:after_bytes]
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some(1000)


@pytest.mark.parametrize("fault", [Hang(), SlowHeaders(), SlowBody()], ids=str)
async def test_faults_that_never_end(system: FakeSystem, fault: Fault) -> None:
    system.always(fault)
    received = await ask(system, seconds=0.2)
    assert (received == b"") == isinstance(fault, Hang)
    assert (b"\r\n\r\n" in received) == isinstance(fault, SlowBody)


async def test_how_much_of_a_huge_body_was_taken_is_counted(system: FakeSystem) -> None:
    system.script(HugeBody(1_000_000))
    received = await ask(system)
    assert len(received) > 1_000_000
    assert system.most_bytes_sent == len(received)


async def test_the_script_goes_before_what_is_always_so(system: FakeSystem) -> None:
    system.always(Unavailable())
    system.script(None, Unavailable(500))
    found = [(await ask(system, most=len(GOOD)))[9:12] for _ in range(3)]
    assert found == [b"202", b"500", b"503"]


async def test_what_is_no_http_can_be_spoiled_too(system: FakeSystem) -> None:
    system.script(TlsGarbage())
    assert (await ask(system, request=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")).startswith(b"\x15\x03\x01")
    assert await ask(system, request=b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc") == b""


async def test_it_refuses_connections_for_a_while_at_the_same_address(system: FakeSystem) -> None:
    port = system.port
    async with await trio.open_tcp_stream("127.0.0.1", port) as kept:
        await kept.send_all(REQUEST)
        assert await kept.receive_some(len(GOOD)) == GOOD
        async with system.refusing():
            assert await kept.receive_some(1) == b""
            with pytest.raises(OSError, match="all attempts to connect"):
                await trio.open_tcp_stream("127.0.0.1", port)
    assert await ask(system, most=len(GOOD)) == GOOD
    assert system.port == port


async def test_it_holds_answers_until_enough_are_there(system: FakeSystem) -> None:
    with system.holding(3):
        assert await ask(system, seconds=0.1) == b""
        answers = []
        async with trio.open_nursery() as nursery:

            async def one() -> None:
                answers.append(await ask(system, most=len(GOOD)))

            for _ in range(3):
                nursery.start_soon(one)
    assert answers == [GOOD] * 3
